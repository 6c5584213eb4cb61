"""The codec's face: what `base.Codec` asks for, from the modules of this folder."""

from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.base import Codec, Framing, Told
from gateway.protocols.gemini import direct, errors, prepare, request, response, wire
from gateway.protocols.gemini.stream import Decoder
from gateway.protocols.gemini.writer import Encoder


class Gemini:
    """See `gateway.protocols.base.Codec`."""

    name = wire.NAME
    framing: Framing = "sse"
    default_auth = "x-goog-api-key"
    forward_headers: frozenset[str] = frozenset()

    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(prepare.encode_request)
    decode_response = staticmethod(response.decode_response)
    encode_response = staticmethod(response.encode_response)
    decode_error = staticmethod(errors.decode_error)
    encode_error = staticmethod(errors.encode_error)
    error_status = staticmethod(errors.error_status)
    direct_request = staticmethod(prepare.direct_request)

    def direct_response(self, body: bytes, told: Told, costs: Costs) -> bytes:
        del told  # the answer's model is what the provider said
        return direct.with_costs(body, costs)

    def stream_decoder(self) -> Decoder:
        return Decoder()

    def stream_encoder(self, request: Request, told: Told) -> Encoder:
        return Encoder(told, array=request.array)

    def direct_stream(self, request: Request, told: Told) -> direct.Direct:
        del told
        return direct.Direct(array=request.array)


CODEC: Codec = Gemini()
