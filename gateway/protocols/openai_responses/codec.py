"""The codec: this package's functions under the names of `gateway.protocols.base.Codec`."""

from msgspec import structs

from ccapi.core.errors import GatewayError
from gateway.ir.request import Request
from gateway.protocols.base import Codec, Framing, Told
from gateway.protocols.openai_responses import direct, errors, request, response
from gateway.protocols.openai_responses.stream import StreamDecoder
from gateway.protocols.openai_responses.wire import NAME
from gateway.protocols.openai_responses.writer import StreamEncoder


class OpenAIResponses:
    """See `gateway.protocols.base.Codec`."""

    name = NAME
    framing: Framing = "sse"
    default_auth = "bearer"
    forward_headers = frozenset({"openai-beta"})

    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(request.encode_request)
    decode_response = staticmethod(response.decode_response)
    encode_response = staticmethod(response.encode_response)
    decode_error = staticmethod(errors.decode_error)
    encode_error = staticmethod(errors.encode_error)
    direct_request = staticmethod(direct.direct_request)
    direct_response = staticmethod(direct.direct_response)

    def stream_decoder(self) -> StreamDecoder:
        return StreamDecoder()

    def stream_encoder(self, request: Request, told: Told) -> StreamEncoder:
        return StreamEncoder(structs.replace(told, request=request))

    def direct_stream(self, request: Request, told: Told) -> direct.DirectStream:
        return direct.DirectStream(structs.replace(told, request=request))

    def error_status(self, error: GatewayError) -> int:
        return error.status


CODEC: Codec = OpenAIResponses()
