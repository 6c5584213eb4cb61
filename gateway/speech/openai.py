"""OpenAI's speech, upstream: `POST /audio/speech`, also of servers that speak as it does.

A model whose price is by tokens is asked for events, the last of which tells its usage.
Source: https://platform.openai.com/docs/api-reference/audio/createSpeech (read 2026-11-22)
"""

from collections.abc import Sequence
from typing import NamedTuple

from catalog.types import Offer
from ccapi.core.errors import UnsupportedParameter
from gateway.ir.request import Request
from gateway.protocols.base import Encoded, Target
from gateway.protocols.openai_chat import CODEC as CHAT
from gateway.protocols.shared import fields, raws
from gateway.speech import formats, voices
from gateway.speech.speaker import JSON_OR_SOUND, Speaker, check_length, check_speed, no_format
from gateway.speech.values import Fit, Spoken, spoken_of
from gateway.speech.voices import Voice

PATH = "/audio/speech"


class _Abilities(NamedTuple):
    """What a model can do; OpenAI's own, where nothing else is known."""

    formats: tuple[str, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
    speed: tuple[float, float] = (0.25, 4.0)
    characters_max: int = 4096
    takes_instructions: bool = True
    ignores_instructions: bool = False


_ABILITIES = {
    "tts-1": _Abilities(takes_instructions=False, ignores_instructions=True),
    "tts-1-hd": _Abilities(takes_instructions=False, ignores_instructions=True),
    "hibari-heart": _Abilities(
        formats=("mp3", "opus", "ogg", "flac", "wav", "pcm"),
        speed=(0.5, 2.0),
        takes_instructions=False,
    ),
}
_USUAL = _Abilities()
_MADE_HERE = ("mp3", "opus", "ogg", "flac", "wav")  # of PCM
# The sandbox needs no library to make these; the others are made of them here.
_SANDBOX = _Abilities(formats=("mp3", "wav", "pcm"))


class OpenAISpeaker(Speaker):
    name = "openai_tts"

    def fit(self, spoken: Spoken, offer: Offer, own: Sequence[Voice], *, by_token: bool) -> Fit:
        del own
        model = offer.upstream_model
        usual = _SANDBOX if offer.provider.is_sandbox else _USUAL
        can = _ABILITIES.get(model, usual)
        check_length(spoken, can.characters_max)
        speed = spoken.speed
        for name in spoken.settings:
            if name != "speed":
                raise _not_said(f"voice_settings.{name}")
        if speed is None:
            speed = fields.number(spoken.settings, "speed", within="voice_settings.")
        check_speed(speed, *can.speed)
        if spoken.instructions and not (can.takes_instructions or can.ignores_instructions):
            raise _not_said("instructions")
        made = _made(spoken, can)
        return Fit(
            voice=_voice(spoken, model),
            format=made,
            made=made,
            speed=speed,
            dropped=("instructions",) if spoken.instructions and can.ignores_instructions else (),
            by_token=by_token,
        )

    def encode_request(self, request: Request, target: Target) -> Encoded:
        spoken = spoken_of(request)
        fit = spoken.fit
        if fit.refusal:
            raise UnsupportedParameter(fit.refusal, param=fit.param)
        sent: dict[str, object] = {
            "model": target.upstream_model,
            "input": spoken.text,
            "voice": {"id": fit.voice} if spoken.by_id else fit.voice,
            "response_format": fit.format,
        }
        if spoken.instructions and not fit.dropped:
            sent["instructions"] = spoken.instructions
        if fit.speed is not None:
            sent["speed"] = fit.speed
        if fit.by_token:
            sent["stream_format"] = "sse"
        accept = "text/event-stream" if fit.by_token else JSON_OR_SOUND
        return Encoded(
            path=PATH, body=raws.encode(sent), headers=(("accept", accept),), dropped=fit.dropped
        )


def _voice(spoken: Spoken, model: str) -> str:
    """The name as its vendor writes it; as it came where nobody knows the names."""
    if spoken.by_id:
        return spoken.voice
    known = voices.published(model)
    if not known:
        return spoken.voice
    found = voices.among(known, spoken.voice)
    if found is None:
        raise voices.unknown(spoken.voice, known)
    return found


def _made(spoken: Spoken, can: _Abilities) -> str:
    """What is asked for: the format itself, or what it can be made of without another loss."""
    asked = spoken.format
    if asked in can.formats:
        return asked
    if asked == "ogg" and "opus" in can.formats:
        return "opus"
    if asked in _MADE_HERE and not formats.is_vendors(asked):
        return "pcm"
    raise no_format(asked, tuple(dict.fromkeys((*can.formats, *_MADE_HERE))))


def _not_said(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"'{name}' means nothing to this model, and without it the speech would be another.",
        param=name,
    )


CODEC = OpenAISpeaker(CHAT)
