"""The codec: this package's functions under the names of `gateway.protocols.base.Codec`."""

from ccapi.core.errors import GatewayError
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.base import (
    Codec,
    DirectStream,
    Framing,
    StreamDecoder,
    StreamEncoder,
    Told,
)
from gateway.protocols.ollama import direct, errors, generate, request, response, stream, writer
from gateway.protocols.ollama.wire import NAME


class Ollama:
    """See `gateway.protocols.base.Codec`."""

    name = NAME
    framing: Framing = "ndjson"
    default_auth = "bearer"
    forward_headers: frozenset[str] = frozenset()

    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(request.encode_request)
    decode_response = staticmethod(response.decode_response)
    encode_response = staticmethod(response.encode_response)
    decode_error = staticmethod(errors.decode_error)
    encode_error = staticmethod(errors.encode_error)
    direct_request = staticmethod(direct.direct_request)

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:
        del told  # the provider's own words stand
        return direct.direct_response(body, costs)

    def stream_decoder(self) -> StreamDecoder:
        return stream.StreamDecoder()

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder:
        del request
        return writer.StreamEncoder(told)

    def direct_stream(self, request: Request, told: Told) -> DirectStream:
        del request, told
        return direct.DirectStream()

    def error_status(self, error: GatewayError) -> int:
        return error.status


class Generate(Ollama):
    """The `/api/generate` form, for clients. Never direct: no upstream is called by it."""

    name = "ollama_generate"

    decode_request = staticmethod(generate.decode_request)
    encode_response = staticmethod(generate.encode_response)

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder:
        del request
        return generate.StreamEncoder(told)


CODEC: Codec = Ollama()
GENERATE: Codec = Generate()
