"""What this protocol can say of a request survives the way there and back."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.ir.request import (
    Image,
    Media,
    Message,
    Raw,
    Reasoning,
    ReasoningConfig,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from gateway.protocols.base import Target
from gateway.protocols.ollama import CODEC

PNG = "iVBORw0KGgoAAAA"

texts = st.text(min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,12}", fullmatch=True)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages = [Message(role="system", parts=(Text(text=draw(texts)),))]
    for _turn in range(draw(st.integers(1, 3))):
        image = Image(source=Media(data=PNG, media_type="image/png"))
        shown = (image,) if draw(st.booleans()) else ()
        messages.append(Message(role="user", parts=(Text(text=draw(texts)), *shown)))
        count = draw(st.integers(0, 2))
        calls = tuple(
            ToolCall(
                id=f"c{len(messages)}_{index}",
                name=draw(names),
                arguments=json.dumps(draw(st.dictionaries(names, texts, max_size=2))),
                index=index,
            )
            for index in range(count)
        )
        thought = (Reasoning(text=draw(texts)),) if draw(st.booleans()) else ()
        messages.append(Message(role="assistant", parts=(*thought, Text(text=draw(texts)), *calls)))
        messages += [
            Message(
                role="tool",
                parts=(
                    ToolResult(call_id=call.id, name=call.name, parts=(Text(text=draw(texts)),)),
                ),
            )
            for call in calls
        ]
    return tuple(messages)


@given(conversations(), st.floats(0, 2), st.integers(1, 1000))
def test_what_the_protocol_can_say_survives_the_way_there_and_back(
    messages: tuple[Message, ...], temperature: float, limit: int
) -> None:
    request = Request(
        model="up",
        messages=messages,
        temperature=temperature,
        max_tokens=limit,
        stream=True,
        tools=(Tool(name="t", description="d"),),
        reasoning=ReasoningConfig(effort="low"),
    )

    encoded = CODEC.encode_request(request, Target(upstream_model="up", stream=True)).body

    assert CODEC.decode_request(msgspec.json.decode(encoded, type=dict[str, Raw])) == request
