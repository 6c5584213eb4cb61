"""One upstream stream on its way to the client: bytes → frames → events → the client's bytes.

The meter watches every event. Same protocol on both sides: the frames go out as they came.
Different ones, or tools told in the prompt: the events are encoded anew. Nothing here does I/O.
"""

from ccapi.core.errors import GatewayError
from gateway.exchange import Exchange
from gateway.ir.events import Event, Failed
from gateway.meter import Meter
from gateway.protocols.base import (
    END_OF_BODY,
    DirectStream,
    Frame,
    GarbledStream,
    StreamEncoder,
    UpstreamFailure,
)
from gateway.tool_compat.mode import CompatStream
from gateway.transport.client import AttemptFailed, failed
from gateway.transport.ndjson import NDJSONParser
from gateway.transport.sse import SSEParser


class Relayed:
    """The bytes of one upstream stream → the client's: frames, events, meter, and back."""

    def __init__(self, exchange: Exchange, meter: Meter) -> None:
        codec, told = exchange.codec, exchange.told()
        self._meter = meter
        ndjson = exchange.candidate.codec.framing == "ndjson"
        self._parser = NDJSONParser() if ndjson else SSEParser()
        self._decode = exchange.candidate.codec.stream_decoder().decode
        tools = exchange.compat_tools()
        self._compat = None if tools is None else CompatStream(tools)
        self._direct: DirectStream | None = None
        writer: DirectStream | StreamEncoder
        if exchange.is_direct:
            writer = self._direct = codec.direct_stream(exchange.request, told)
        else:
            writer = self._encoder = codec.stream_encoder(exchange.request, told)
        self.content_type = writer.content_type
        self.end = writer.end
        self._fail = writer.fail

    def fail(self, error: GatewayError) -> bytes:
        """What is still to be told, and the protocol's own error event."""
        rest = b""
        if self._compat is not None:
            # The beginning of a call that never came to its end is text.
            events = self._compat.read((Failed(kind="server", message=""),))
            rest = b"".join([self._encoder.encode(event) for event in events[:-1]])
        return rest + self._fail(error)

    def take(self, data: bytes) -> tuple[bytes, AttemptFailed | None]:
        """The client's bytes of one read, and what was wrong with the rest of it, if anything.

        Nothing is taken after the protocol's end marker or an error that the provider reported; the
        frame of such an error is not passed on, since the client gets one of our making.
        """
        meter = self._meter
        pieces: list[bytes] = []
        try:
            for frame in self._parser.feed(data):
                events = self._decode(frame)
                meter.observe(events)
                if meter.failed is not None:
                    return b"".join(pieces), reported(meter.failed)
                pieces.append(self._written(frame, events))
                if meter.completed:
                    break
        except (GarbledStream, UnicodeDecodeError) as error:
            return b"".join(pieces), garbled(error)
        return b"".join(pieces), None

    def body_ended(self) -> bytes:
        """The body came to its proper end: the answer, too, where its protocol marks it so."""
        events = self._decode(END_OF_BODY)
        self._meter.observe(events)
        return self._written(END_OF_BODY, events) if events else b""

    def _written(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        if self._direct is not None:
            return self._direct.forward(frame, events)
        if self._compat is not None:
            events = self._compat.read(events)
        encode = self._encoder.encode
        return b"".join([encode(event) for event in events])


def reported(failed_event: Failed) -> AttemptFailed:
    """An error that the provider reported inside its stream."""
    return AttemptFailed(
        UpstreamFailure(
            kind=failed_event.kind, status=0, message=failed_event.message, code=failed_event.code
        )
    )


def garbled(error: ValueError) -> AttemptFailed:
    """What is not of the provider's protocol.

    The text may quote the answer, so it stays in the log.
    """
    reason = failed("server", "The provider sent something that is not of its protocol.")
    reason.__cause__ = error
    return reason
