"""OpenAI's POST /v1/audio/speech, said by the sandbox: WAV, PCM and MP3, or events that carry them.

Events tell tokens by a rule that can be followed by hand: one a character that is spoken.
Source: https://platform.openai.com/docs/api-reference/audio/createSpeech
"""

import base64
from collections.abc import Iterator
from typing import Annotated

import msgspec
import orjson

from gateway.sandbox import tones
from gateway.sandbox.delivery import Step, stream_steps
from gateway.sandbox.dialect import Frame
from gateway.sandbox.failures import Failure, Refused, parsed
from gateway.sandbox.media_scenarios import SPEECH, scenarios
from gateway.sandbox.openai import OpenAIWords
from gateway.sandbox.refusing import refuse_if_chosen
from gateway.sandbox.scenarios import Chosen, choose
from gateway.sandbox.service import Asked, Reply
from gateway.sandbox.tokens import count

PATHS = frozenset({"/v1/audio/speech", "/audio/speech"})
SLOW_S = 5.0
_EVENTS = b"text/event-stream; charset=utf-8"
_TABLE = scenarios(SPEECH)
_PAGE = b"<!doctype html>\n<title>Speech</title>\n" + b"<p>Text where sound should be.</p>\n" * 8


class _Ask(msgspec.Struct):
    model: str
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    voice: str | dict[str, str]
    response_format: str = "mp3"
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4.0)] = 1.0
    stream_format: str = "audio"
    instructions: str | None = None


_decode = msgspec.json.Decoder(_Ask).decode


class Speech(OpenAIWords):
    """See `service.Service`."""

    def knows(self, method: str, path: str) -> bool:
        return method == "POST" and path in PATHS

    def answer(self, asked: Asked) -> Reply:
        ask = parsed(_decode, asked.body)
        chosen = choose(ask.model, _TABLE)
        if chosen is None:
            raise Refused(Failure(kind="not_found", facts={"model": ask.model}))
        refuse_if_chosen(chosen, ask.model)
        made = tones.FORMATS.get(ask.response_format)
        if made is None:
            message = f"'response_format' may be {', '.join(tones.FORMATS)} here."
            raise Refused(Failure(kind="invalid", message=message, param="response_format"))
        is_events = ask.stream_format == "sse"
        return Reply(
            _steps(ask, chosen, made, is_events=is_events),
            media_type=_EVENTS if is_events else made.media_type,
            pause_s=chosen.seconds(SLOW_S) if chosen.name == "slow" else 0.0,
        )


def _steps(ask: _Ask, chosen: Chosen, made: tones.Format, *, is_events: bool) -> Iterator[Step]:
    if chosen.name == "garbled":
        return iter((_PAGE,))
    head, sound = tones.pieces(ask.input, made, speed=ask.speed)
    if chosen.name == "empty":
        sound = []
    frames = _events(ask, head, sound) if is_events else _bytes(head, sound)
    return stream_steps(chosen, frames, error_frame=bytes, garbage=b"")


def _bytes(head: bytes, sound: list[bytes]) -> Iterator[Frame]:
    if head:
        yield Frame("open", head)
    for piece in sound:
        yield Frame("content", piece)


def _events(ask: _Ask, head: bytes, sound: list[bytes]) -> Iterator[Frame]:
    for at, piece in enumerate(sound):
        data = base64.b64encode(head + piece if at == 0 else piece).decode()
        yield Frame("content", _event({"type": "speech.audio.delta", "audio": data}))
    read, spoken = count(ask.input) + count(ask.instructions or ""), len(ask.input)
    usage = {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}
    yield Frame("end", _event({"type": "speech.audio.done", "usage": usage}))


def _event(value: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
