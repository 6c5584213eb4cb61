"""Error answers, in the shape of all of OpenAI's endpoints, and errors inside a stream.

A stream that breaks ends, as the API's own do, with an `error` event and `response.failed`: the
official SDK raises at the first, Codex reads the second.
"""

from ccapi.core.errors import GatewayError
from gateway.protocols.openai_responses import echo
from gateway.protocols.openai_responses.wire import Wire
from gateway.protocols.shared.openai_errors import decode_error, encode_error, failure_in_stream

__all__ = ["decode_error", "encode_error", "failure_frames", "failure_in_stream"]


def failure_frames(error: GatewayError, response: Wire, sequence: int) -> bytes:
    """The end of a stream that broke; `response` is the object as it stands."""
    told = error.body()["error"]
    # The documented event is flat, the one on the wire has an object.
    flat = {"code": error.code, "message": error.message, "param": error.param}
    return echo.frame("error", {**flat, "error": told}, sequence) + echo.frame(
        "response.failed", {"response": response | echo.failed(error)}, sequence + 1
    )
