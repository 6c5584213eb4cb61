"""What the protocol can express comes back the same: `decode(encode(x)) == x`."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ccapi.core.usage import Usage
from gateway.ir.events import Event, Started, Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from gateway.ir.request import (
    File,
    Image,
    Media,
    Message,
    Part,
    Raw,
    Reasoning,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.ir.response import Choice, Response
from gateway.protocols.base import END_OF_BODY
from gateway.protocols.gemini import CODEC
from gateway.protocols.gemini.signatures import seal, unseal
from gateway.transport.sse import SSEParser
from tests.gateway.protocols.gemini.gemini_kit import COSTS, TOLD, again, events, plain, told_stream

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,12}", fullmatch=True)
base64s = st.sampled_from(["AAAA", "iVBORw0KGgo=", "/+8="])
tables = st.dictionaries(texts, st.one_of(texts, st.integers(-9, 9), st.booleans()), max_size=3)
arguments = tables.map(lambda value: json.dumps(value, separators=(",", ":")))
images = st.builds(
    Image,
    source=st.one_of(
        st.builds(Media, data=base64s, media_type=st.sampled_from(["image/png", "image/webp"])),
        st.just(Media(url="https://example.com/a", media_type="image/png")),
    ),
)
files = st.builds(
    File, source=st.builds(Media, data=base64s, media_type=st.just("application/pdf"))
)
thoughts = st.builds(Reasoning, text=texts, signature=st.just("YWJj"), signed_by=st.just("gemini"))


@st.composite
def steps(draw: st.DrawFn) -> tuple[Message, ...]:
    """A model's step, with calls and their results where it calls."""
    parts: list[Part] = [Text(text=draw(texts))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        parts.append(draw(thoughts))
    calls = [
        ToolCall(id=f"c{at}", name=draw(names), arguments=draw(arguments), index=at)
        for at in range(draw(st.integers(0, 3)))
    ]
    parts += calls
    if not calls:
        parts.append(Text(text=draw(texts)))
    asked = Message(role="user", parts=(Text(text=draw(texts)), *draw(st.lists(images | files))))
    answers = tuple(
        ToolResult(
            call_id=call.id,
            name=call.name,
            parts=(Text(text=draw(texts)),),
            is_error=draw(st.booleans()),
        )
        for call in calls
    )
    said = Message(role="assistant", parts=tuple(parts))
    return (asked, said, Message(role="user", parts=answers)) if answers else (asked, said)


schemas = st.sampled_from([Raw(b'{"type":"object"}'), Raw(b'{"$ref":"#/a"}')])
tools = st.builds(Tool, name=names, description=texts, parameters=schemas)
requests = st.builds(
    Request,
    model=st.just("m"),
    messages=steps(),
    max_tokens=st.none() | st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(0, 99),
    stop=st.lists(texts, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**31),
    n=st.integers(1, 3),
    presence_penalty=st.none() | st.floats(-2, 2),
    logprobs=st.none() | st.booleans(),
    tools=st.lists(tools, min_size=1, max_size=3).map(tuple),
    tool_choice=st.none()
    | st.sampled_from([ToolChoice(mode="auto"), ToolChoice(mode="none")])
    | st.just(ToolChoice(mode="required")),
    reasoning=st.none()
    | st.sampled_from([ReasoningConfig(), ReasoningConfig(effort="high")])
    | st.builds(ReasoningConfig, budget_tokens=st.integers(1, 9999)),
    response_format=st.none()
    | st.just(ResponseFormat(mode="json"))
    | st.builds(ResponseFormat, mode=st.just("schema"), schema=schemas),
    include_usage=st.just(True),
)


@given(requests)
def test_a_request_encoded_and_decoded_is_the_same(request: Request) -> None:
    assert plain(again(request)) == plain(request)


@given(st.lists(steps(), min_size=1, max_size=3))
def test_an_answer_encoded_and_decoded_is_the_same(turns: list[tuple[Message, ...]]) -> None:
    choices = tuple(
        Choice(
            index=at,
            parts=turn[1].parts,
            stop="tool_calls" if any(isinstance(p, ToolCall) for p in turn[1].parts) else "stop",
            raw_stop="STOP",
        )
        for at, turn in enumerate(turns)
    )
    usage = Usage(input=5, cache_read=2, output=3, reasoning=4)
    response = Response(id="r", model=TOLD.model, choices=choices)

    back = CODEC.decode_response(CODEC.encode_response(response, TOLD, usage, COSTS))

    assert plain(back.choices) == plain(choices)
    assert back.usage is not None
    assert (back.usage.input, back.usage.cache_read) == (5, 2)
    assert (back.usage.output, back.usage.reasoning) == (3, 4)


@given(st.lists(texts, min_size=1, max_size=5), st.lists(arguments, max_size=3), st.data())
def test_a_stream_encoded_and_cut_anywhere_decodes_the_same(
    said: list[str], calls: list[str], data: st.DataObject
) -> None:
    happened: list[Event] = [Started(), *(TextDelta(text=text) for text in said)]
    for at, call in enumerate(calls):
        happened.append(ToolCallStarted(index=at, id=f"c{at}", name="f"))
        cut = data.draw(st.integers(0, len(call)))
        happened += [ToolCallDelta(index=at, arguments=piece) for piece in (call[:cut], call[cut:])]
    told = told_stream([*happened, Stopped(reason="tool_calls" if calls else "stop")])

    parser, decoder = SSEParser(), CODEC.stream_decoder()
    at = data.draw(st.integers(0, len(told)))
    pieces = [*parser.feed(told[:at]), *parser.feed(told[at:]), END_OF_BODY]
    read = [event for frame in pieces for event in decoder.decode(frame)]

    assert plain(read) == plain(events(told))
    assert [event.text for event in read if isinstance(event, TextDelta)] == said
    deltas = [event.arguments for event in read if isinstance(event, ToolCallDelta)]
    assert deltas == calls


@given(texts, st.sampled_from(["anthropic", "openai_responses", "ollama"]))
def test_a_sealed_signature_is_what_it_was(signature: str, signed_by: str) -> None:
    assert unseal(seal(signature, signed_by)) == (signature, signed_by)
