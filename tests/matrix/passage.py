"""Through the codecs as the walk takes them: a request to an upstream, its answer to a client.

Every codec of the registry takes part; nothing here knows one of them by name but the two facts
that stand outside of the bodies (`spoken`).
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from ccapi.core.errors import UpstreamFailed
from ccapi.core.usage import Usage
from gateway.ir.events import (
    AudioDelta,
    CitationDelta,
    Completed,
    Event,
    Failed,
    OtherBlock,
    ReasoningDelta,
    RedactedReasoningBlock,
    RefusalDelta,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.request import (
    Audio,
    Message,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import END_OF_BODY, Body, Codec, Encoded, Frame, Target, Told
from gateway.protocols.registry import CODECS
from gateway.transport.ndjson import NDJSONParser
from gateway.transport.sse import SSEParser

Loose: TypeAlias = Any  # JSON of any vendor; the assertions say what it holds

NAMES = tuple(CODECS)
PAIRS = [(client, upstream) for client in NAMES for upstream in NAMES]
TOLD = Told(id="gen-1", model="asked/for", provider="somebody", created=1_700_000_000)
COSTS = Costs(input="0.000018", output="0.0001536", total="0.0001716")
ALL_CAPABILITIES = frozenset({"reasoning", "adaptive_thinking", "mid_conversation_system"})
# Models of each protocol's vendor, of a family that takes all that the protocol can say.
MODELS = {"openai": "gpt-5", "openai_responses": "gpt-5", "gemini": "gemini-3-flash"}


def target(upstream: str, *, stream: bool = False) -> Target:
    return Target(
        upstream_model=MODELS.get(upstream, "up"), stream=stream, capabilities=ALL_CAPABILITIES
    )


def spoken(codec: Codec, body: bytes, *, model: str = "m", stream: bool = False) -> Request:
    """A body as a client sends it, read; what its path says stands in it, as the route sees to."""
    fields: Body = msgspec.json.decode(body, type=dict[str, Raw])
    fields.setdefault("model", Raw(json.dumps(model).encode()))
    fields.setdefault("stream", Raw(b"true" if stream else b"false"))
    return codec.decode_request(fields)


def sent(upstream: str, request: Request) -> Encoded:
    return CODECS[upstream].encode_request(request, target(upstream, stream=request.stream))


def asked(client: str) -> Request:
    """What a client asked whose answer is looked at."""
    return Request(
        model="asked/for",
        messages=(Message(role="user", parts=(Text(text="Hi"),)),),
        stream=True,
        include_usage=True,
    )


def frames(codec: Codec, data: bytes, cuts: Iterable[int] = ()) -> list[Frame]:
    """The frames of a body that ended properly, and arrived cut at these places."""
    parser = NDJSONParser() if codec.framing == "ndjson" else SSEParser()
    places = [0, *sorted(cuts), len(data)]
    found = [frame for start, end in pairwise(places) for frame in parser.feed(data[start:end])]
    return [*found, END_OF_BODY]


def decoded(codec: Codec, told: Sequence[Frame]) -> list[tuple[Frame, tuple[Event, ...]]]:
    """Nothing is read after the end of an answer, as the walk does it."""
    decoder = codec.stream_decoder()
    seen: list[tuple[Frame, tuple[Event, ...]]] = []
    for frame in told:
        events = decoder.decode(frame)
        seen.append((frame, events))
        if any(isinstance(event, Completed | Failed) for event in events):
            break
    return seen


def events_of(codec: Codec, data: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    return [event for _, events in decoded(codec, frames(codec, data, cuts)) for event in events]


def usage_of(events: Iterable[Event]) -> Usage:
    told = [event.usage for event in events if isinstance(event, UsageReported) and event.usage]
    return told[-1] if told else Usage()


def written(client: str, events: Sequence[Event]) -> bytes:
    """Events as a client of the protocol gets them."""
    encoder = CODECS[client].stream_encoder(asked(client), TOLD)
    out = b""
    for event in events:
        if isinstance(event, Failed):
            return out + encoder.fail(UpstreamFailed(event.message))
        out += encoder.encode(event)
    if any(isinstance(event, Completed) for event in events):
        out += encoder.end(usage_of(events), COSTS)
    return out


def forwarded(name: str, data: bytes) -> bytes:
    """A stream whose client speaks its own protocol."""
    codec = CODECS[name]
    direct = codec.direct_stream(asked(name), msgspec.structs.replace(TOLD, stamp=False))
    pairs = decoded(codec, frames(codec, data))
    events = [event for _, seen in pairs for event in seen]
    out = b""
    for frame, seen in pairs:
        failed = [event for event in seen if isinstance(event, Failed)]
        if failed:
            return out + direct.fail(UpstreamFailed(failed[0].message))
        out += direct.forward(frame, seen)
    if any(isinstance(event, Completed) for event in events):
        out += direct.end(usage_of(events), COSTS)
    return out


def through_stream(client: str, upstream: str, data: bytes) -> bytes:
    return written(client, events_of(CODECS[upstream], data))


def through(client: str, upstream: str, body: bytes) -> bytes:
    """A whole answer."""
    response = CODECS[upstream].decode_response(body)
    return told(client, response)


def told(client: str, response: Response) -> bytes:
    usage = response.usage or Usage()
    return CODECS[client].encode_response(response, TOLD, usage, COSTS)


def events_from(response: Response) -> list[Event]:
    """A whole answer as the stream in which it could have come."""
    events: list[Event] = [Started(id=response.id, model=response.model, created=response.created)]
    for choice in response.choices:
        for part in choice.parts:
            events += _events(part, choice)
        if choice.stop is not None:
            events.append(
                Stopped(
                    reason=choice.stop,
                    raw_reason=choice.raw_stop,
                    stop_sequence=choice.stop_sequence,
                    choice=choice.index,
                )
            )
    if response.usage is not None:
        events.append(UsageReported(usage=response.usage))
    return [*events, Completed()]


def _halves(text: str) -> tuple[str, ...]:
    middle = len(text) // 2
    return tuple(half for half in (text[:middle], text[middle:]) if half)


def _events(part: Part, choice: Choice) -> list[Event]:
    at = choice.index
    match part:
        case Text():
            pieces = (part.text,) if choice.logprobs is not None else _halves(part.text)
            said: list[Event] = [
                TextDelta(text=piece, choice=at, logprobs=choice.logprobs) for piece in pieces
            ]
            notes = part.citations or ((Raw(),) if part.cited else ())
            return said + [
                CitationDelta(raw=raw, protocol=part.citations_of, choice=at, cited=part.cited)
                for raw in notes
            ]
        case Reasoning():
            thought: list[Event] = [
                ReasoningDelta(text=half, choice=at) for half in _halves(part.text)
            ]
            if part.signature:
                thought.append(
                    SignatureDelta(signature=part.signature, signed_by=part.signed_by, choice=at)
                )
            return thought
        case RedactedReasoning():
            return [RedactedReasoningBlock(data=part.data, signed_by=part.signed_by, choice=at)]
        case ToolCall():
            called = ToolCallStarted(index=part.index, id=part.id, name=part.name, choice=at)
            return [
                called,
                *(
                    ToolCallDelta(index=part.index, arguments=half, choice=at)
                    for half in _halves(part.arguments)
                ),
            ]
        case Refusal():
            return [RefusalDelta(text=half, choice=at) for half in _halves(part.text)]
        case Audio():
            return [AudioDelta(data=part.source.data, transcript=part.transcript, choice=at)]
        case Other():
            return [OtherBlock(protocol=part.protocol, kind=part.kind, raw=part.raw, choice=at)]
    raise AssertionError(f"No event tells of {part!r}.")
