"""Error answers: of OpenAI-compatible upstreams understood, and ours written.

The shape is the one of all of OpenAI's endpoints (`gateway.protocols.shared.openai_errors`).
"""

from ccapi.core.errors import GatewayError
from gateway.protocols.openai_chat import wire
from gateway.protocols.shared.openai_errors import decode_error, encode_error, failure_in_stream

__all__ = ["decode_error", "encode_error", "error_frame", "failure_in_stream"]


def error_frame(error: GatewayError) -> bytes:
    """The error inside a stream; no end marker follows it."""
    return b"data: " + wire.encode(error.body()) + b"\n\n"
