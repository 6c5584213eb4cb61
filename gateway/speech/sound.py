"""A provider's answer as audio: the bytes themselves, or those that OpenAI's events carry.

What is no audio is told so, before any of it could reach a client: an error inside a 200, a page of
a proxy, a file of another format than was asked for. No I/O here.
"""

import base64
import binascii

import msgspec

from ccapi.core.usage import Usage, count
from gateway.protocols.base import GarbledStream
from gateway.protocols.shared.openai_errors import failure_in_stream
from gateway.relayed import garbled, reported
from gateway.speech import formats
from gateway.transport.failures import failed
from gateway.transport.sse import SSEParser

# An answer has begun once there is more of it than the longest header of a file (WAV's is 44 bytes,
# the first page of an Ogg file 58), so that a header alone is not taken for speech.
FIRST_BYTES = 128
_SOUND = ("audio/", "application/octet-stream", "binary/octet-stream", "application/ogg")


class _Usage(msgspec.Struct):
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None


class _Event(msgspec.Struct):
    type: str = ""
    audio: str = ""
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Event).decode


def is_sound(content_type: str) -> bool:
    """Whether a body of this type may be audio; one that does not say may."""
    told = content_type.partition(";")[0].strip().lower()
    return not told or told.startswith(_SOUND)


def is_events(content_type: str) -> bool:
    return content_type.lower().startswith("text/event-stream")


class Sound:
    """The audio of one answer, fed with what is read of it."""

    def __init__(self, content_type: str) -> None:
        self._events = SSEParser() if is_events(content_type) else None
        self.usage: Usage | None = None
        self.is_complete = False  # its own end marker came

    def take(self, data: bytes) -> bytes:
        """The audio of one read. Raises: AttemptFailed for what is of no such stream."""
        if self._events is None:
            return data
        pieces: list[bytes] = []
        try:
            for frame in self._events.feed(data):
                if frame.data and not self.is_complete:
                    pieces.append(self._read(frame.data))
        except GarbledStream as error:
            raise garbled(error) from error
        return b"".join(pieces)

    def ended(self) -> None:
        """The body ended properly. Raises: AttemptFailed where the answer had not."""
        if self._events is not None and not self.is_complete:
            raise failed("server", "The provider's stream ended before its end marker.")

    def _read(self, data: bytes) -> bytes:
        if data == b"[DONE]":
            self.is_complete = True
            return b""
        try:
            event = _decode(data)
            if event.error or event.type == "error":
                raise reported(failure_in_stream(data))
            if event.type == "speech.audio.done":
                self.is_complete = True
                if event.usage is not None:
                    read, written = (
                        count(event.usage.input_tokens),
                        count(event.usage.output_tokens),
                    )
                    self.usage = Usage(input=read, output_audio=written)
            if event.type != "speech.audio.delta":
                return b""
            return base64.b64decode(event.audio, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise garbled(GarbledStream("an event that carries no audio")) from error


def check_start(start: bytes, made: str) -> None:
    """Raises: GarbledStream where this is plainly not the format that was asked for."""
    if formats.is_text(start, made):
        raise GarbledStream("a text where audio should be")
    if formats.is_headless(made):
        return
    found = formats.recognized(start)
    if found and found != formats.family(made):
        raise GarbledStream(f"{found} where {made} was asked for")
