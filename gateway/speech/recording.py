"""The audio of one attempt as it is read: when it has begun, whether it is audio, when it ends.

It reads under the attempt's deadlines and tells the meter what was heard. What is done with the
audio is `answer`'s.
"""

from gateway import attempt
from gateway.deadlines import Deadlines, Reader
from gateway.exchange import Exchange
from gateway.protocols.base import GarbledStream
from gateway.relayed import garbled
from gateway.speech import formats
from gateway.speech.meter import SpeechMeter
from gateway.speech.sound import FIRST_BYTES, Sound, check_start, is_events, is_sound
from gateway.speech.speaker import Speaker
from gateway.speech.values import Spoken
from gateway.transport.client import AttemptFailed, Upstream


class Recording:
    """`open`, then `start`, then `more` until there is no more."""

    def __init__(
        self,
        exchange: Exchange,
        spoken: Spoken,
        meter: SpeechMeter,
        upstream: Upstream,
        reader: Reader,
        deadlines: Deadlines,
    ) -> None:
        self.exchange = exchange
        self.spoken = spoken
        self.meter = meter
        self._upstream = upstream
        self._reader = reader
        self._deadlines = deadlines
        self._sound = Sound(upstream.content_type)
        self._has_ended = False

    async def open(self) -> None:
        """Raises: AttemptFailed where the answer says itself that it is no audio."""
        told = self._upstream.content_type
        if not (is_sound(told) or (is_events(told) and self.spoken.fit.by_token)):
            raise await self._error_inside(b"", GarbledStream(f"{told!r} where audio should be"))
        codec = self.exchange.candidate.codec
        if isinstance(codec, Speaker):
            self.meter.counted = codec.characters(self._upstream.headers)

    async def start(self) -> bytes:
        """The first audio: more than a header. Raises: AttemptFailed, for an empty answer too."""
        start = b""
        while len(start) < FIRST_BYTES and (piece := await self.more()):
            start += piece
        made = self.spoken.fit.made
        try:
            check_start(start, made)
        except GarbledStream as error:
            raise await self._error_inside(start, error) from error
        if len(start) < FIRST_BYTES and not (start and formats.is_headless(made)):
            raise attempt.empty(self.meter)
        self._deadlines.content_came()
        return start

    async def more(self) -> bytes:
        """The next audio; b"" at the end. Raises: AttemptFailed, for an end that is none too."""
        while not self._has_ended:
            data = await self._reader.read()
            if not data:
                self._sound.ended()
            audio = self._sound.take(data) if data else b""
            self._has_ended = not data or self._sound.is_complete
            self.meter.usage = self._sound.usage
            if self._has_ended:
                self.meter.completed = True
            if audio:
                self.meter.heard(audio)
                return audio
        return b""

    async def _error_inside(self, start: bytes, error: ValueError) -> AttemptFailed:
        """A 200 that is no audio: an error object of the provider, or garbage."""
        body = start + await attempt.error_body(self._upstream)
        if b'"error"' in body or b'"detail"' in body:
            return attempt.understood(self.exchange, self._upstream, body)
        return garbled(error)
