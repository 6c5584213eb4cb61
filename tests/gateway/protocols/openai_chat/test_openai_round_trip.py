"""What this protocol can say of a request survives the way there and back."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Message,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import body_of, target

texts = st.text(min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,12}", fullmatch=True)
base64s = st.from_regex(r"[A-Za-z0-9+/]{1,12}", fullmatch=True)
user_parts = st.one_of(
    st.builds(Text, text=texts),
    st.builds(
        Image,
        source=st.builds(
            Media, data=base64s, media_type=st.sampled_from(["image/png", "image/webp"])
        ),
        detail=st.sampled_from(["", "low", "high"]),
    ),
    st.builds(Image, source=st.builds(Media, url=st.just("https://example.com/a.png"))),
    st.builds(
        Audio,
        source=st.builds(Media, data=base64s, media_type=st.just("audio/wav")),
        format=st.just("wav"),
    ),
    st.builds(
        File,
        source=st.builds(Media, data=base64s, media_type=st.just("application/pdf")),
        filename=names,
    ),
    st.builds(File, source=st.builds(Media, file_id=names)),
)


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation: questions, thoughts, calls and their results."""
    messages = [
        Message(role=draw(st.sampled_from(["system", "developer"])), parts=(Text(text="Be."),))
    ]
    for turn in range(draw(st.integers(1, 3))):
        parts = tuple(draw(st.lists(user_parts, min_size=1, max_size=3)))
        messages.append(Message(role="user", parts=parts, name=draw(st.sampled_from(["", "Ada"]))))
        calls = [
            ToolCall(
                id=f"c{turn}-{index}", name=draw(names), arguments=draw(st.text()), index=index
            )
            for index in range(draw(st.integers(0, 2)))
        ]
        thoughts = [Reasoning(text=draw(texts))] if draw(st.booleans()) else []
        said = [Text(text=draw(texts))] if draw(st.booleans()) else []
        refused = [Refusal(text=draw(texts))] if draw(st.booleans()) else []
        messages.append(Message(role="assistant", parts=(*thoughts, *said, *refused, *calls)))
        for call in calls:
            parts = tuple(Text(text=text) for text in draw(st.lists(texts, max_size=2)))
            result = ToolResult(call_id=call.id, name=call.name, parts=parts)
            messages.append(Message(role="tool", parts=(result,)))
    return tuple(messages)


schemas = st.sampled_from(
    [msgspec.Raw(b'{"type":"object"}'), msgspec.Raw(b'{"a":[1.0,2e5,"\xc3\xa9"]}')]
)
requests = st.builds(
    Request,
    model=st.just("gpt-4o-mini"),
    messages=turns(),
    stream=st.just(False),
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(texts, max_size=3).map(tuple),
    seed=st.none() | st.integers(-(2**62), 2**62),
    n=st.integers(1, 5),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    tools=st.lists(
        st.builds(
            Tool,
            name=names,
            description=st.text(max_size=20),
            parameters=schemas,
            strict=st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "required"]))
    | st.builds(ToolChoice, mode=st.just("tool"), name=names),
    parallel_tool_calls=st.none() | st.booleans(),
    response_format=st.none()
    | st.builds(ResponseFormat, mode=st.sampled_from(["text", "json"]))
    | st.builds(
        ResponseFormat,
        mode=st.just("schema"),
        name=names,
        description=st.text(max_size=10),
        schema=schemas,
        strict=st.none() | st.booleans(),
    ),
    reasoning=st.none()
    | st.builds(ReasoningConfig, effort=st.sampled_from(["minimal", "low", "high", "max"])),
    user=st.text(max_size=10),
)


@given(requests)
def test_a_request_survives_encoding_and_decoding(request: Request) -> None:
    body = CODEC.encode_request(request, target()).body

    assert CODEC.decode_request(body_of(body)) == request
