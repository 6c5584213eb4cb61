"""Requests: decode(encode(x)) is x, for what the protocol can express."""

import json
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from gateway.ir.request import (
    CacheMark,
    File,
    Image,
    Media,
    Message,
    OtherTool,
    Part,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.anthropic import CODEC
from gateway.protocols.anthropic.blocks import number_calls
from tests.gateway.protocols.anthropic.anthropic_kit import plain, target

words = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text)
names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
marks = st.sampled_from([None, CacheMark(), CacheMark("1h")])
objects = st.dictionaries(words, words | st.integers(-9, 9), max_size=3)
schemas = objects.map(lambda more: Raw(json.dumps({"type": "object", **more}).encode()))

texts = st.builds(Text, text=words, cache=marks)
sources = st.one_of(
    st.builds(Media, url=words.map(lambda text: "https://x.test/" + text)),
    st.builds(Media, data=st.just("aGk="), media_type=st.sampled_from(["image/png", "image/gif"])),
    st.builds(Media, file_id=names.map(lambda text: "file_" + text)),
)
images = st.builds(Image, source=sources, cache=marks)
pdfs = st.builds(
    File,
    source=st.builds(Media, data=st.just("JVBERi0="), media_type=st.just("application/pdf")),
    filename=st.just("") | words,
    cache=marks,
)
notes = st.builds(File, source=st.just(Media()), text=words, filename=st.just("") | words)
results = st.builds(
    ToolResult,
    call_id=names,
    parts=st.lists(st.one_of(texts, images), max_size=2).map(tuple),
    is_error=st.booleans(),
    cache=marks,
)
calls = st.builds(ToolCall, id=names, name=names, arguments=objects.map(json.dumps), cache=marks)
thoughts = st.one_of(
    st.builds(Reasoning, text=words, signature=names, signed_by=st.just("anthropic")),
    st.builds(RedactedReasoning, data=names, signed_by=st.just("anthropic")),
)


def turn(role: str, parts: Sequence[Part]) -> Message:
    # Results come first in a user's turn: Anthropic demands it.
    ordered = sorted(parts, key=lambda part: not isinstance(part, ToolResult))
    return Message(role="user" if role == "user" else "assistant", parts=number_calls(ordered))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages: list[Message] = []
    if draw(st.booleans()):
        instructions = draw(st.lists(texts, min_size=1, max_size=3))
        messages.append(Message(role="system", parts=tuple(instructions)))
    said = st.one_of(texts, images, pdfs, notes, results)
    for _ in range(draw(st.integers(1, 3))):
        messages.append(turn("user", draw(st.lists(said, min_size=1, max_size=4))))
        answered = draw(st.lists(st.one_of(texts, calls, thoughts), min_size=1, max_size=4))
        messages.append(turn("assistant", answered))
    return tuple(messages)


tools = st.one_of(
    st.builds(
        Tool,
        name=names,
        description=st.just("") | words,
        parameters=schemas,
        strict=st.sampled_from([None, True, False]),
        cache=marks,
        extras=st.sampled_from([{}, {"anthropic": {"defer_loading": Raw(b"true")}}]),
    ),
    st.just(
        OtherTool(
            protocol="anthropic",
            kind="web_search_20250305",
            raw=Raw(b'{"type":"web_search_20250305","name":"web_search"}'),
        )
    ),
)
fractions = st.none() | st.floats(0, 1)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    offered = tuple(draw(st.lists(tools, max_size=3)))
    choices = [None, *(ToolChoice(mode="auto"), ToolChoice(mode="required"))]
    choices.append(ToolChoice(mode="tool", name="f"))
    choice = draw(st.sampled_from(choices)) if offered else None
    thinking = draw(st.sampled_from([None, ReasoningConfig(enabled=False)]))
    form = st.builds(ResponseFormat, mode=st.just("schema"), schema=schemas, strict=st.just(True))
    return Request(
        model="claude-up",
        messages=draw(conversations()),
        stream=draw(st.booleans()),
        max_tokens=draw(st.integers(0, 10**6)),
        temperature=draw(fractions),
        top_p=draw(fractions),
        top_k=draw(st.none() | st.integers(0, 100)),
        stop=tuple(draw(st.lists(words, max_size=2))),
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=draw(st.sampled_from([None, True, False])) if choice else None,
        response_format=draw(st.none() | form),
        reasoning=thinking,
        user=draw(st.just("") | words),
        extras=draw(st.sampled_from([{}, {"anthropic": {"service_tier": Raw(b'"auto"')}}])),
    )


@settings(deadline=None)
@given(requests())
def test_what_the_protocol_can_ask_survives_encode_and_decode(request: Request) -> None:
    sent = CODEC.encode_request(request, target(stream=request.stream))

    again = CODEC.decode_request(msgspec.json.decode(sent.body, type=dict[str, Raw]))
    assert plain(again) == plain(request)
    assert sent.dropped == ()


@settings(deadline=None)
@given(st.integers(1024, 10**6))
def test_a_budget_survives_encode_and_decode(budget: int) -> None:
    request = Request(
        model="claude-up",
        messages=(Message(role="user", parts=(Text(text="Hi"),)),),
        max_tokens=2 * budget,
        reasoning=ReasoningConfig(budget_tokens=budget),
    )

    sent = CODEC.encode_request(request, target())

    again = CODEC.decode_request(msgspec.json.decode(sent.body, type=dict[str, Raw]))
    assert again == request
