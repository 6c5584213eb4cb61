"""What the tests of the Responses codec share: transcripts, recordings, the SDK as a reader."""

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
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.request import Part, Reasoning, Refusal, Request, Text, ToolCall
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Frame, Target, Told
from gateway.protocols.openai_responses import CODEC
from gateway.transport.sse import SSEParser

Loose: TypeAlias = Any  # JSON of any vendor; the assertions say what it holds

TRANSCRIPTS = Path(__file__).parents[3] / "wire" / "openai_responses"
NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.sse"))
BROKEN = {"failed", "error_event"}

TOLD = Told(id="gen-1", model="asked", provider="openai", created=1_700_000_000)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
ADDED_TO_USAGE = ("input_cost", "output_cost", "cost")
ASKED = Request(model="asked", messages=(), stream=True)


def transcript(name: str) -> bytes:
    return (TRANSCRIPTS / f"{name}.sse").read_bytes()


def body_of(request: Loose) -> Body:
    """A request as the walk hands it over: its top level raw."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])


def asked(told: Loose = "Hello", **fields: Loose) -> Request:
    return CODEC.decode_request(body_of({"model": "m", "input": told, **fields}))


def target(model: str = "gpt-5", **more: Loose) -> Target:
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


def decoded(of: Iterable[Frame]) -> list[tuple[Frame, tuple[Event, ...]]]:
    decoder = CODEC.stream_decoder()
    return [(frame, decoder.decode(frame)) for frame in of]


def events_of(data: bytes) -> list[Event]:
    return [event for _, events in decoded(frames(data)) for event in events]


def usage_of(events: Sequence[Event]) -> Usage:
    told = [event.usage for event in events if isinstance(event, UsageReported)]
    return (told[-1] if told else None) or Usage()


def forwarded(data: bytes) -> bytes:
    """What a client gets on the direct path; a broken stream has no end."""
    stream = CODEC.direct_stream(ASKED, TOLD)
    pairs = decoded(frames(data))
    events = [event for _, seen in pairs for event in seen]
    out = b"".join(stream.forward(frame, seen) for frame, seen in pairs)
    if any(isinstance(event, Completed) for event in events):
        out += stream.end(usage_of(events), COSTS)
    return out


def written(events: Sequence[Event], request: Request = ASKED) -> bytes:
    """What a client gets where the stream passes through our own events."""
    encoder = CODEC.stream_encoder(request, TOLD)
    out = b"".join(encoder.encode(event) for event in events)
    if any(isinstance(event, Completed) for event in events):
        out += encoder.end(usage_of(events), COSTS)
    return out


class Answer(NamedTuple):
    """An answer, put together."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()  # id, name, arguments
    stop: str = ""


def answer_of(events: Iterable[Event]) -> Answer:
    answer = Answer()
    calls: dict[int, list[str]] = {}
    for event in events:
        match event:
            case TextDelta():
                answer = answer._replace(text=answer.text + event.text)
            case ReasoningDelta():
                answer = answer._replace(reasoning=answer.reasoning + event.text)
            case RefusalDelta():
                answer = answer._replace(refusal=answer.refusal + event.text)
            case ToolCallStarted():
                calls[event.index] = [event.id, event.name, ""]
            case ToolCallDelta():
                calls[event.index][2] += event.arguments
            case Stopped():
                answer = answer._replace(stop=event.raw_reason)
            case _:
                pass
    made = tuple((call[0], call[1], call[2]) for _, call in sorted(calls.items()))
    return answer._replace(calls=made)


def answer_of_parts(parts: Iterable[Part], stop: str) -> Answer:
    parts = tuple(parts)
    return Answer(
        text="".join(part.text for part in parts if isinstance(part, Text)),
        reasoning="".join(part.text for part in parts if isinstance(part, Reasoning)),
        refusal="".join(part.text for part in parts if isinstance(part, Refusal)),
        calls=tuple(
            (part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)
        ),
        stop=stop,
    )


def answer_of_sdk(response: Loose) -> Answer:
    """The same of a response object, as the SDK read it."""
    text, refusal, calls, thoughts = "", "", [], []
    for item in response["output"]:
        if item["type"] == "reasoning":
            told = item.get("summary") or item.get("content") or []
            thoughts.append("\n\n".join(part["text"] for part in told))
        elif item["type"] == "function_call":
            calls.append((item["call_id"], item["name"], item["arguments"]))
        elif item["type"] == "custom_tool_call":
            told = msgspec.json.encode({"input": item["input"]}).decode()
            calls.append((item["call_id"], item["name"], told))
        elif item["type"] == "message":
            text += "".join(part.get("text") or "" for part in item["content"])
            refusal += "".join(part.get("refusal") or "" for part in item["content"])
    details = response.get("incomplete_details")
    stop = details["reason"] if details else response["status"]
    return Answer(text, "".join(thoughts), refusal, tuple(calls), stop)


class Read(NamedTuple):
    """What the SDK made of a stream: its events, its final response, and the error it raised."""

    events: list[dict[str, Loose]]
    final: dict[str, Loose]
    error: str


def _client(body: bytes, content_type: str) -> OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return OpenAI(api_key="sk-test", base_url="http://upstream", http_client=http, max_retries=0)


def sdk_stream(body: bytes) -> Read:
    """With the SDK's own accumulation, which refuses events that do not fit each other."""
    events: list[dict[str, Loose]] = []
    final: dict[str, Loose] = {}
    client = _client(body, "text/event-stream")
    try:
        with client.responses.stream(model="m", input="Hello") as stream:
            for event in stream:
                told: dict[str, Loose] = event.to_dict(warnings=False)
                events.append(told)
                if told["type"] in ("response.completed", "response.incomplete"):
                    final = told["response"]
    except APIError as error:
        return Read(events, final, str(error))
    return Read(events, final, "")


def sdk_response(body: bytes) -> dict[str, Loose]:
    response = _client(body, "application/json").responses.create(model="m", input="Hello")
    told: dict[str, Loose] = response.to_dict(warnings=False)
    return told


def without_added(response: dict[str, Loose]) -> dict[str, Loose]:
    """A response without the fields that the direct path adds."""
    kept = dict(response)
    usage = kept.get("usage") or {}
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
    return tuple(each for each in exchanges if each["protocol"] == "openai-responses")
