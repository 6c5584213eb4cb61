"""What the tests of OpenAI's codec share: transcripts, recordings, and the SDK as a reader."""

import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx2
import msgspec
from openai import APIError, OpenAI

from ccapi.core.usage import Usage
from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Frame, Target, Told
from gateway.protocols.openai_chat import CODEC
from gateway.transport.sse import SSEParser

Loose: TypeAlias = Any  # JSON of any vendor; the assertions say what it holds

TRANSCRIPTS = Path(__file__).parents[3] / "wire" / "openai_chat"
NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.sse"))
BROKEN = {"groq_error", "openrouter_error"}

TOLD = Told(id="gen-1", model="openai/gpt-4o-mini", provider="openai", created=1_700_000_000)
UNSTAMPED = msgspec.structs.replace(TOLD, stamp=False)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
ADDED = ("model", "provider")
ADDED_TO_USAGE = ("input_cost", "output_cost", "cost")
HELLO = [{"role": "user", "content": "Hello"}]
ASKED = Request(model="m", messages=(), stream=True)


def transcript(name: str) -> bytes:
    return (TRANSCRIPTS / f"{name}.sse").read_bytes()


def body_of(request: Loose) -> Body:
    """A request as the walk hands it over: its top level raw."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])


def asked(messages: Loose = None, **fields: Loose) -> Request:
    """A client's request, decoded; `messages` is a greeting unless given."""
    return CODEC.decode_request(
        body_of({"model": "m", "messages": HELLO if messages is None else messages, **fields})
    )


def target(model: str = "gpt-4o-mini", **more: Loose) -> Target:
    return Target(upstream_model=model, stream=more.pop("stream", False), **more)


def encoded(request: Request, to: Target | None = None) -> Loose:
    """The upstream body that our request becomes, as JSON."""
    return json.loads(CODEC.encode_request(request, to or target()).body)


def frames(data: bytes, size: int | None = None) -> list[Frame]:
    """The frames of a stream that arrives in pieces of `size` bytes."""
    parser = SSEParser()
    size = size or max(1, len(data))
    return [
        frame
        for start in range(0, len(data), size)
        for frame in parser.feed(data[start : start + size])
    ]


def events_of(data: bytes) -> list[Event]:
    return [event for _, events in decoded(frames(data)) for event in events]


def decoded(of: Iterable[Frame]) -> list[tuple[Frame, tuple[Event, ...]]]:
    decoder = CODEC.stream_decoder()
    return [(frame, decoder.decode(frame)) for frame in of]


def usage_of(events: Sequence[Event]) -> Usage:
    told = [event.usage for event in events if isinstance(event, UsageReported) and event.usage]
    return told[-1] if told else Usage()


def forwarded(data: bytes, told: Told = TOLD) -> bytes:
    """What a client gets on the direct path; a broken stream has no end."""
    stream = CODEC.direct_stream(ASKED, told)
    pairs = decoded(frames(data))
    events = [event for _, seen in pairs for event in seen]
    out = b"".join(stream.forward(frame, seen) for frame, seen in pairs)
    if any(isinstance(event, Completed) for event in events):
        out += stream.end(usage_of(events), COSTS)
    return out


def translated(data: bytes) -> bytes:
    """What a client gets where the stream passes through our own events."""
    encoder = CODEC.stream_encoder(ASKED, TOLD)
    events = events_of(data)
    out = b"".join(encoder.encode(event) for event in events)
    if any(isinstance(event, Completed) for event in events):
        out += encoder.end(usage_of(events), COSTS)
    return out


class Answer(NamedTuple):
    """One choice of a stream, put together."""

    text: str
    reasoning: str
    refusal: str
    calls: tuple[tuple[str, str, str], ...]  # id, name, arguments
    stop: str


def answers_of(events: Iterable[Event]) -> dict[int, Answer]:
    texts: dict[int, list[str]] = {}
    found: dict[int, Answer] = {}
    calls: dict[int, dict[int, list[str]]] = {}
    empty = Answer("", "", "", (), "")
    for event in events:
        choice = getattr(event, "choice", None)
        if choice is None:
            continue
        answer = found.setdefault(choice, empty)
        texts.setdefault(choice, [])
        match event:
            case TextDelta():
                found[choice] = answer._replace(text=answer.text + event.text)
            case ReasoningDelta():
                found[choice] = answer._replace(reasoning=answer.reasoning + event.text)
            case RefusalDelta():
                found[choice] = answer._replace(refusal=answer.refusal + event.text)
            case ToolCallStarted():
                calls.setdefault(choice, {})[event.index] = [event.id, event.name, ""]
            case ToolCallDelta():
                calls[choice][event.index][2] += event.arguments
            case Stopped():
                found[choice] = answer._replace(stop=event.reason)
            case _:
                pass
    for choice, made in calls.items():
        listed = tuple((call[0], call[1], call[2]) for _, call in sorted(made.items()))
        found[choice] = found[choice]._replace(calls=listed)
    return found


def failures_of(events: Iterable[Event]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]


class Read(NamedTuple):
    """What OpenAI's SDK made of a stream: its chunks, and the error it raised, if any."""

    chunks: list[dict[str, Loose]]
    error: str


def _client(body: bytes, content_type: str) -> OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    transport = httpx2.MockTransport(answer)
    http = httpx2.Client(transport=transport)
    return OpenAI(api_key="sk-test", base_url="http://upstream", http_client=http, max_retries=0)


def sdk_stream(body: bytes) -> Read:
    stream = _client(body, "text/event-stream").chat.completions.create(
        model="m", messages=[], stream=True
    )
    chunks: list[dict[str, Loose]] = []
    try:
        chunks += (chunk.to_dict(warnings=False) for chunk in stream)
    except APIError as error:
        return Read(chunks, str(error))
    return Read(chunks, "")


def sdk_completion(body: bytes) -> dict[str, Loose]:
    completion = _client(body, "application/json").chat.completions.create(model="m", messages=[])
    return completion.to_dict(warnings=False)


def without_added(answer: dict[str, Loose]) -> dict[str, Loose]:
    """An answer, or a chunk, without the fields that the direct path may add or replace."""
    kept = {name: value for name, value in answer.items() if name not in ADDED}
    usage = kept.get("usage")
    if usage:
        kept["usage"] = {name: value for name, value in usage.items() if name not in ADDED_TO_USAGE}
    return kept


@cache
def recorded() -> tuple[dict[str, Loose], ...]:
    """The recorded exchanges of this protocol; () where the environment names no file of them."""
    path = os.environ.get("CCAPI_EXCHANGES", "")
    if not path:
        return ()
    with Path(path).open() as lines:
        exchanges = [json.loads(line) for line in lines]
    return tuple(exchange for exchange in exchanges if exchange["protocol"] == "openai")
