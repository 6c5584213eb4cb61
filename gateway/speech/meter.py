"""What a recording used: its characters, which we know, or the tokens that the provider tells."""

from billing.types import UsageSource
from ccapi.core.usage import Usage
from gateway import tokens
from gateway.ir.request import Raw, Request
from gateway.meter import Meter
from gateway.speech import formats
from gateway.speech.bounds import CHARACTERS_PER_S, tokens_of
from gateway.speech.values import Spoken

# Bytes a second of what OpenAI sends, where there is no usage to go by: headless and WAV are
# exact, the others measured on its own samples, on the low side.
_BYTES_PER_S = {"wav": 48_000, "flac": 20_000, "mp3": 8_000, "aac": 8_000, "ogg": 4_000}


class SpeechMeter(Meter):
    """Watches the audio of one attempt."""

    __slots__ = ("_spoken", "audio_bytes", "counted")

    def __init__(self, spoken: Spoken) -> None:
        super().__init__()
        self._spoken = spoken
        self.audio_bytes = 0
        self.counted: int | None = None  # characters, as the provider says; told, never charged

    def heard(self, audio: bytes) -> None:
        self.has_content = True
        self.audio_bytes += len(audio)

    def is_empty(self) -> bool:
        return not self.has_content

    async def final(self, request: Request, *, whole: bool) -> tuple[Usage, UsageSource]:
        """The usage to charge, and where it comes from.

        By characters it is all that was asked, also of an answer that broke off: the provider reads
        it all. By tokens, without the provider's word, what was delivered is guessed.
        """
        del request
        spoken = self._spoken
        characters = len(spoken.text)
        if not spoken.fit.by_token:
            raw = Raw(b"" if self.counted is None else b'{"characters":%d}' % self.counted)
            return Usage(characters=characters, raw=raw), UsageSource.REQUEST
        if whole and self.usage is not None:
            return self.usage, UsageSource.PROVIDER
        read = await tokens.count([spoken.text, spoken.instructions])
        written = tokens_of(self._seconds(whole=whole))
        usage = Usage(input=read, output_audio=written, characters=characters)
        return usage, UsageSource.HEURISTIC

    def _seconds(self, *, whole: bool) -> float:
        """How long what was delivered may sound, on the low side."""
        spoken = self._spoken
        expected = len(spoken.text) / CHARACTERS_PER_S / (spoken.fit.speed or 1.0)
        made = spoken.fit.made
        per_s = _BYTES_PER_S.get(formats.family(made)) or 2 * formats.rate(made)
        heard = self.audio_bytes / per_s
        return min(expected, heard) if not whole else max(min(expected, heard), 0.1)
