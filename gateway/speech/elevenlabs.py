"""ElevenLabs' speech, upstream: `POST /text-to-speech/{voice_id}/stream`.

The provider's base URL ends in `/v1`. Errors are an object under `detail`, a list of what is wrong
with the body (422), or a text; the account's quota is told with a 401.
Sources: https://elevenlabs.io/docs/api-reference/text-to-speech/stream,
https://elevenlabs.io/docs/resources/error-messages,
https://help.elevenlabs.io/hc/en-us/articles/13298164480913 (lengths) (all read 2026-11-22)
"""

from collections.abc import Mapping, Sequence

import msgspec

from catalog.types import Offer
from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.failure import FailureKind
from gateway.ir.request import Raw, Request
from gateway.protocols.base import Encoded, Target, UpstreamFailure
from gateway.protocols.openai_chat import CODEC as CHAT
from gateway.protocols.shared import fields, raws
from gateway.protocols.shared.retry import retry_after
from gateway.speech import formats, voices
from gateway.speech.speaker import JSON_OR_SOUND, Speaker, check_length, check_speed, no_format
from gateway.speech.values import Fit, Spoken, spoken_of
from gateway.speech.voices import Voice

COUNTED = "x-character-count"
SPEED = (0.7, 1.2)
MESSAGE_LENGTH_MAX = 2000

# What we say → what it is asked for. Other rates of PCM need dearer subscriptions.
_FORMATS = {
    "mp3": "mp3_44100_128",
    "opus": "opus_48000_64",
    "ogg": "opus_48000_64",
    "pcm": "pcm_24000",
    "wav": "pcm_24000",
    "flac": "pcm_24000",
}
_LENGTHS = {
    "eleven_flash_v2_5": 40_000,
    "eleven_turbo_v2_5": 40_000,
    "eleven_flash_v2": 30_000,
    "eleven_turbo_v2": 30_000,
    "eleven_v3": 5_000,
}
_LENGTH_USUAL = 10_000
_SETTINGS: dict[str, type] = {
    "stability": float,
    "similarity_boost": float,
    "style": float,
    "speed": float,
    "use_speaker_boost": bool,
}

_KINDS: dict[str, FailureKind] = {
    "quota_exceeded": "credit",
    "insufficient_credits": "credit",
    "payment_required": "credit",
    "paid_plan_required": "credit",
    "invalid_api_key": "auth",
    "missing_api_key": "auth",
    "missing_permissions": "auth",
    "needs_authorization": "auth",
    "detected_unusual_activity": "auth",
    "too_many_concurrent_requests": "rate_limited",
    "concurrent_limit_exceeded": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "system_busy": "overloaded",
    "model_not_found": "not_found",
    "max_character_limit_exceeded": "context_length",
    "text_too_long": "context_length",
    "voice_not_found": "invalid",
    "content_against_policy": "content_refused",
}
_STATUSES: dict[int, FailureKind] = {
    401: "auth",
    402: "credit",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    425: "overloaded",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
}


class _Wrong(msgspec.Struct):
    """One thing that is wrong with a body."""

    loc: list[str | int] = []
    msg: str = ""


class _Detail(msgspec.Struct):
    status: str = ""
    code: str = ""
    message: str = ""


class _Error(msgspec.Struct):
    detail: _Detail | list[_Wrong] | str


_decode_error = msgspec.json.Decoder(_Error).decode


class ElevenLabs(Speaker):
    name = "elevenlabs"
    lists_voices = True

    def __init__(self) -> None:
        super().__init__(CHAT)
        self.default_auth = "xi-api-key"

    def fit(self, spoken: Spoken, offer: Offer, own: Sequence[Voice], *, by_token: bool) -> Fit:
        del by_token
        check_length(spoken, _LENGTHS.get(offer.upstream_model, _LENGTH_USUAL))
        if spoken.instructions:
            raise UnsupportedParameter(
                "'instructions' mean nothing to this model, and without them the speech would be"
                " another.",
                param="instructions",
            )
        if formats.is_vendors(spoken.format):
            asked = spoken.format
        elif (known := _FORMATS.get(spoken.format)) is not None:
            asked = known
        else:
            raise no_format(spoken.format, tuple(_FORMATS))
        settings = spoken.settings
        _check_settings(settings)
        speed = spoken.speed
        if speed is None:
            speed = fields.number(settings, "speed", within="voice_settings.")
        check_speed(speed, *SPEED)
        return Fit(
            voice=voices.elevenlabs_id(spoken.voice, own, by_id=spoken.by_id),
            format=asked,
            made=spoken.format if formats.is_vendors(spoken.format) else asked.partition("_")[0],
            speed=speed,
        )

    def encode_request(self, request: Request, target: Target) -> Encoded:
        spoken = spoken_of(request)
        fit = spoken.fit
        if fit.refusal:
            raise UnsupportedParameter(fit.refusal, param=fit.param)
        settings = dict(spoken.settings)
        if fit.speed is not None:
            settings["speed"] = raws.raw(fit.speed)
        sent: dict[str, object] = {"text": spoken.text, "model_id": target.upstream_model}
        if settings:
            sent["voice_settings"] = settings
        return Encoded(
            path=f"/text-to-speech/{fit.voice}/stream?output_format={fit.format}",
            body=raws.encode(sent),
            headers=(("accept", JSON_OR_SOUND),),
        )

    def characters(self, headers: Mapping[str, str]) -> int | None:
        told = headers.get(COUNTED, "")
        return int(told) if told.isascii() and told.isdigit() and len(told) < 9 else None

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
        """`headers` has lower-case names. Also for an error object inside a 200."""
        message, code = _told(body)
        kind = _KINDS.get(code)
        if kind is None:
            fallback: FailureKind = "invalid" if 400 <= status < 500 else "server"
            kind = _STATUSES.get(status, fallback)
        return UpstreamFailure(
            kind=kind,
            status=status,
            message=message or f"The provider answered {status} without an explanation.",
            code=code,
            request_id=headers.get("request-id") or headers.get("x-request-id") or "",
            retry_after=retry_after(headers),
        )


def _told(body: bytes) -> tuple[str, str]:
    """Message and code of an error."""
    try:
        detail = _decode_error(body).detail
    except msgspec.DecodeError:
        return "", ""
    match detail:
        case str():
            return detail[:MESSAGE_LENGTH_MAX], ""
        case _Detail():
            # Older answers have `status` alone; newer ones a `code` of their own beside it.
            known = detail.status if detail.status in _KINDS else detail.code or detail.status
            return detail.message[:MESSAGE_LENGTH_MAX], known
        case _:
            wrong = [f"{'.'.join(map(str, each.loc))}: {each.msg}" for each in detail]
            return "; ".join(wrong)[:MESSAGE_LENGTH_MAX], ""


def _check_settings(settings: Mapping[str, Raw]) -> None:
    """Raises: UnsupportedParameter, InvalidParameter."""
    for name, value in settings.items():
        path = f"voice_settings.{name}"
        wanted = _SETTINGS.get(name)
        if wanted is None:
            raise UnsupportedParameter(f"'{path}' is none of {', '.join(_SETTINGS)}.", param=path)
        try:
            msgspec.json.decode(value, type=wanted | None)
        except msgspec.DecodeError:
            kind = "true or false" if wanted is bool else "a number"
            raise InvalidParameter(f"'{path}' must be {kind}.", param=path) from None


CODEC = ElevenLabs()
