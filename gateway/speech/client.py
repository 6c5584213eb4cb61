"""The client side: OpenAI's `POST /audio/speech`, with our `output_format`, `url` and `models`.

`response_format` is OpenAI's where it names audio, and says that JSON is wanted where it is `url`
or `b64_json`; `output_format` then says which audio.
"""

import base64

import msgspec

from ccapi.core.errors import GatewayError, InvalidParameter
from ccapi.core.usage import Usage
from gateway.ir.request import Raw, Request
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Told
from gateway.protocols.openai_chat import CODEC as CHAT
from gateway.protocols.shared import fields, raws
from gateway.protocols.shared.one_sided import OneSided
from gateway.speech import formats
from gateway.speech.values import Delivery, Spoken, request_for

_AS_JSON: dict[str, Delivery] = {"url": "url", "b64_json": "b64_json"}


class SpeechClient(OneSided):
    name = "openai_speech"
    # Not to pass on (no upstream codec has this name) but for the links that answers carry.
    forward_headers = frozenset({"host", "x-forwarded-proto"})

    def decode_request(self, body: Body) -> Request:
        model = fields.text(body, "model") or ""
        models = tuple(fields.texts(body, "models") or ())
        if not models:
            fields.required(model or None, "model")
        format_, delivery = _wanted(body)
        voice, by_id = _voice(body)
        settings = dict(fields.table(body, "voice_settings") or {})
        spoken = Spoken(
            text=fields.required(fields.text(body, "input"), "input"),
            voice=voice,
            by_id=by_id,
            format=format_,
            delivery=delivery,
            instructions=fields.text(body, "instructions") or "",
            speed=fields.number(body, "speed"),
            settings={name: value for name, value in settings.items() if raws.is_set(value)},
        )
        return request_for(model, spoken, models=models, user=fields.text(body, "user") or "")


def _wanted(body: Body) -> tuple[str, Delivery]:
    """The format, and how it is delivered."""
    output = fields.text(body, "output_format")
    response = fields.text(body, "response_format")
    events = _events(body)
    if response in _AS_JSON:
        if events:
            raise InvalidParameter(
                f"'response_format' {response!r} is JSON, which does not stream as events.",
                param="stream_format",
            )
        return _format(output or "mp3", "output_format"), _AS_JSON[response]
    if response and output and response != output:
        raise InvalidParameter(
            f"'output_format' {output[:32]!r} and 'response_format' {response[:32]!r} differ: say"
            " one of them.",
            param="response_format",
        )
    named = _format(output or response or "mp3", "output_format" if output else "response_format")
    return named, "events" if events else "bytes"


def _format(name: str, param: str) -> str:
    if name in formats.NAMES or formats.is_vendors(name):
        return name
    more = ", url, b64_json" if param == "response_format" else ""
    raise InvalidParameter(
        f"'{param}' may be {', '.join(formats.NAMES)}{more}, not {name[:32]!r}.", param=param
    )


def _events(body: Body) -> bool:
    told = fields.text(body, "stream_format")
    if told not in (None, "audio", "sse"):
        raise InvalidParameter(
            f"'stream_format' may be audio or sse, not {told[:32]!r}.", param="stream_format"
        )
    return told == "sse"


def _voice(body: Body) -> tuple[str, bool]:
    """A name or an id, and whether it is told to be an id."""
    told = fields.required(fields.get(body, "voice"), "voice")
    by_id = raws.first(told) == b"{"
    if by_id:
        inner = fields.required(fields.table(body, "voice"), "voice")
        voice, path = fields.text(inner, "id", within="voice."), "voice.id"
    else:
        voice, path = fields.text(body, "voice"), "voice"
    return fields.required(voice or None, path), by_id


class Bytes:
    """Audio as it is."""

    def __init__(self, format_: str) -> None:
        self.content_type = formats.media_type(format_)

    def encode(self, audio: bytes) -> bytes:
        return audio

    def end(self, usage: Usage, costs: Costs) -> bytes:
        del usage, costs
        return b""

    def fail(self, error: GatewayError) -> None:
        """Audio has no words for an error: all that is left is to break off."""
        del error


class Events:
    """Audio as OpenAI's events; the last one has the usage, with its costs."""

    content_type = "text/event-stream; charset=utf-8"

    def encode(self, audio: bytes) -> bytes:
        return b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % base64.b64encode(audio)

    def end(self, usage: Usage, costs: Costs) -> bytes:
        told = {"type": "speech.audio.done", "usage": usage_told(usage, costs)}
        return b"data: %b\n\n" % raws.encode(told)

    def fail(self, error: GatewayError) -> bytes:
        return b"data: %b\n\n" % raws.encode(error.body())


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A whole recording, as JSON tells it."""

    size: int
    format: str
    seconds: float
    url: str = ""
    data: bytes = b""
    expires_at: int | None = None  # epoch seconds


def told_whole(told: Told, piece: Piece, usage: Usage, costs: Costs) -> bytes:
    """The JSON answer."""
    where: dict[str, object] = {"url": piece.url}
    if not piece.url:
        where = {"b64_json": base64.b64encode(piece.data).decode()}
    return raws.encode(
        {
            "id": told.id,
            "object": "audio.speech",
            "created": told.created,
            "model": told.model,
            "provider": told.provider,
            "data": {
                **where,
                "format": piece.format,
                "content_type": formats.media_type(piece.format),
                "bytes": piece.size,
                "duration_seconds": round(piece.seconds, 3),
                "expires_at": piece.expires_at,
            },
            "usage": usage_told(usage, costs),
        }
    )


def usage_told(usage: Usage, costs: Costs) -> dict[str, object]:
    told: dict[str, object] = {"characters": usage.characters}
    if usage.total:
        told |= {
            "input_tokens": usage.input_total,
            "output_tokens": usage.output_total,
            "total_tokens": usage.total,
        }
    return {**told, "cost": Raw(costs.total.encode())}


CODEC = SpeechClient(CHAT)
