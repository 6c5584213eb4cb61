"""The base of codecs that serve one side only, or no streams: vectors and speech.

Their errors are those of a chat protocol, whose codec they are made with.
"""

from collections.abc import Mapping

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.request import Request
from gateway.ir.response import Costs, Response
from gateway.protocols.base import (
    Body,
    Codec,
    DirectStream,
    Encoded,
    Framing,
    StreamDecoder,
    StreamEncoder,
    Target,
    Told,
    UpstreamFailure,
)


class OneSided:
    """See `gateway.protocols.base.Codec`. `chat` is the protocol's codec of the chat routes.

    What a subclass does not say, it is never asked.
    """

    name = ""
    framing: Framing = "sse"
    forward_headers: frozenset[str] = frozenset()

    def __init__(self, chat: Codec) -> None:
        self._chat = chat
        self.default_auth = chat.default_auth

    def error_status(self, error: GatewayError) -> int:
        return self._chat.error_status(error)

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        return self._chat.encode_error(error, request_id)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
        return self._chat.decode_error(status, headers, body)

    def decode_request(self, body: Body) -> Request:
        del body
        raise self._other_side()

    def encode_response(self, response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        del response, told, usage, costs
        raise self._other_side()

    def encode_request(self, request: Request, target: Target) -> Encoded:
        del request, target
        raise self._other_side()

    def decode_response(self, body: bytes) -> Response:
        del body
        raise self._other_side()

    def direct_request(self, body: Body, target: Target) -> Encoded:
        del body, target
        raise self._other_side()

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:
        del body, told, costs
        raise self._other_side()

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder:
        del request, told
        raise self._other_side()

    def stream_decoder(self) -> StreamDecoder:
        raise self._other_side()

    def direct_stream(self, request: Request, told: Told) -> DirectStream:
        del request, told
        raise self._other_side()

    def _other_side(self) -> TypeError:
        return TypeError(f"{self.name} does not serve this side, or not in this way.")
