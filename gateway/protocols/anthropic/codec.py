"""The codec's face: what `base.Codec` asks for, from the modules of this folder."""

from collections.abc import Mapping

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.request import Request
from gateway.ir.response import Costs, Response
from gateway.protocols.anthropic import direct, errors, prepare, request, response, wire
from gateway.protocols.anthropic.stream import Decoder
from gateway.protocols.anthropic.stream_encode import Encoder
from gateway.protocols.base import (
    Body,
    DirectStream,
    Encoded,
    Framing,
    StreamDecoder,
    StreamEncoder,
    Target,
    Told,
    UpstreamFailure,
)


class AnthropicCodec:
    """Anthropic's Messages API."""

    name = wire.NAME
    framing: Framing = "sse"
    default_auth = "x-api-key"
    forward_headers = frozenset({"anthropic-beta", "anthropic-version"})

    def decode_request(self, body: Body) -> Request:
        return request.decode_request(body)

    def encode_response(self, response_: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
        return response.encode_response(response_, told, usage, costs)

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder:  # noqa: ARG002
        return Encoder(told)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.encode_error(error, request_id)

    def encode_request(self, request: Request, target: Target) -> Encoded:
        return prepare.encode_request(request, target)

    def decode_response(self, body: bytes) -> Response:
        return response.decode_response(body)

    def stream_decoder(self) -> StreamDecoder:
        return Decoder()

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
        return errors.decode_error(status, headers, body)

    def direct_request(self, body: Body, target: Target) -> Encoded:
        return prepare.direct_request(body, target)

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:  # noqa: ARG002
        return direct.with_costs(body, costs)

    def direct_stream(self, request: Request, told: Told) -> DirectStream:  # noqa: ARG002
        return direct.Direct()


CODEC = AnthropicCodec()
