"""Whatever this protocol can express is the same after encoding and decoding."""

import json
from typing import Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response as SDKResponse

from ccapi.core.usage import Usage
from gateway.ir.events import Completed, Started, Stopped, TextDelta, ToolCallDelta, ToolCallStarted
from gateway.ir.request import (
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.ir.response import Choice, Response
from gateway.protocols.openai_responses import CODEC
from gateway.protocols.openai_responses.wire import NAME
from tests.gateway.protocols.openai_responses.responses_wire import (
    COSTS,
    TOLD,
    Answer,
    answer_of,
    body_of,
    events_of,
    sdk_response,
    target,
    written,
)

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
names = st.text("abcdef_", min_size=1, max_size=8)
objects = st.dictionaries(names, words | st.integers(0, 9), max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
texts = st.builds(Text, text=words)
images = st.builds(
    Image,
    source=st.builds(Media, url=st.just("https://e.org/a.png"))
    | st.builds(Media, data=st.just("aGk="), media_type=st.just("image/png")),
    detail=st.sampled_from(["low", "high", "auto"]),
)
files = st.builds(
    File,
    source=st.builds(Media, data=st.just("aGk="), media_type=st.just("application/pdf")),
    filename=st.just("a.pdf"),
)
thoughts = st.builds(
    Reasoning,
    text=words,
    signature=words.map(lambda word: "rs_1." + word),
    signed_by=st.just(NAME),
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A turn of the model with its calls and their results."""
    calls = [
        ToolCall(id=f"c{draw(st.uuids())}", name=draw(names), arguments=draw(objects), index=index)
        for index in range(draw(st.integers(0, 3)))
    ]
    parts: list[Part] = [*draw(st.lists(thoughts, max_size=1))]
    parts += [*draw(st.lists(texts, max_size=2)), *calls]
    turn = [Message(role="assistant", parts=tuple(parts))] if parts else []
    results = [
        ToolResult(call_id=call.id, name=call.name, parts=tuple(draw(st.lists(texts, max_size=2))))
        for call in calls
    ]
    return turn + [Message(role="tool", parts=(result,)) for result in results]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    said = st.lists(texts | images | files, min_size=1, max_size=3).map(tuple)
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message(role="system", parts=(draw(texts),)))
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", parts=draw(said)))
        messages += draw(turns())
    tools = tuple(
        Tool(name=name, description=draw(words), strict=draw(st.booleans()))
        for name in draw(st.lists(names, max_size=3, unique=True))
    )
    mode: Literal["auto", "none", "required"] = draw(st.sampled_from(("auto", "none", "required")))
    return Request(
        model="m",
        messages=tuple(messages),
        stream=draw(st.booleans()),
        max_tokens=draw(st.none() | st.integers(16, 9999)),
        temperature=draw(st.none() | st.floats(0, 2)),
        tools=tools,
        tool_choice=ToolChoice(mode=mode) if tools else None,
        reasoning=draw(st.none() | st.just(ReasoningConfig(effort="high"))),
        user=draw(st.just("") | words),
        include_usage=True,
        extras={NAME: {"store": msgspec.Raw(b"false")}},
    )


def without_made_ids(request: Request) -> Request:
    """Messages of several texts get the id that the API's types ask for."""
    messages = tuple(msgspec.structs.replace(message, extras={}) for message in request.messages)
    return msgspec.structs.replace(request, messages=messages)


@settings(max_examples=120, deadline=None)
@given(requests())
def test_a_request_is_the_same_after_encoding_and_decoding(request: Request) -> None:
    sent = CODEC.encode_request(request, target("m", stream=request.stream))

    assert without_made_ids(CODEC.decode_request(body_of(sent.body))) == request
    assert sent.dropped == ()


@st.composite
def responses(draw: st.DrawFn) -> Response:
    said = draw(st.lists(texts | st.builds(Refusal, text=words), max_size=2))
    calls = [
        ToolCall(id=f"c{index}", name=draw(names), arguments=draw(objects), index=index)
        for index in range(draw(st.integers(0, 2)))
    ]
    parts = (*draw(st.lists(thoughts, max_size=1)), *said, *calls)
    word = draw(st.sampled_from(["completed", "max_output_tokens", "content_filter"]))
    ended = "tool_calls" if calls else "stop"
    stops = {"max_output_tokens": "length", "content_filter": "content_filter"}
    choice = Choice(parts=parts, stop=stops.get(word, ended), raw_stop=word)  # type: ignore[arg-type]  # words of the type, by table
    return Response(id="resp_1", model=TOLD.model, choices=(choice,), created=5)


@settings(max_examples=120, deadline=None)
@given(responses(), st.integers(0, 99), st.integers(0, 99))
def test_an_answer_is_the_same_after_encoding_and_decoding(
    response: Response, tokens: int, cached: int
) -> None:
    usage = Usage(input=tokens, cache_read=cached, output=tokens, reasoning=cached)

    body = CODEC.encode_response(response, TOLD, usage, COSTS)

    again = CODEC.decode_response(body)
    assert msgspec.structs.replace(again, usage=None) == response
    assert again.usage is not None
    assert msgspec.structs.replace(again.usage, raw=usage.raw) == usage
    SDKResponse.model_validate_json(body)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(words, max_size=4), st.lists(st.tuples(names, objects, st.integers(1, 5)), max_size=3)
)
def test_a_stream_is_the_same_after_encoding_and_decoding(
    pieces: list[str], calls: list[tuple[str, str, int]]
) -> None:
    events: list[object] = [Started(id="resp_9", model="m")]
    events += [TextDelta(text=piece) for piece in pieces]
    for index, (name, arguments, size) in enumerate(calls):
        events.append(ToolCallStarted(index=index, id=f"c{index}", name=name))
        for at in range(0, len(arguments), size):
            events.append(ToolCallDelta(index=index, arguments=arguments[at : at + size]))
    events += [Stopped(reason="tool_calls" if calls else "stop", raw_reason="x"), Completed()]

    again = answer_of(events_of(written(events)))  # type: ignore[arg-type]  # a list of events

    made = tuple((f"c{index}", call[0], call[1]) for index, call in enumerate(calls))
    assert again == Answer("".join(pieces), calls=made, stop="completed")


def test_an_answer_repeats_what_was_asked() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    fields = {
        "instructions": "Be brief.",
        "tools": [tool],
        "tool_choice": "required",
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "max_output_tokens": 50,
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    }
    request = CODEC.decode_request(body_of({"model": "m", "input": "x", **fields}))
    told = msgspec.structs.replace(TOLD, request=request)
    response = Response(id="msg_1", model="up", choices=(Choice(parts=(Text(text="Hi"),)),))

    read = sdk_response(CODEC.encode_response(response, told, Usage(), COSTS))

    assert {name: read[name] for name in fields} == fields
    assert (read["id"], read["model"], read["status"]) == ("resp_1", "asked", "completed")
