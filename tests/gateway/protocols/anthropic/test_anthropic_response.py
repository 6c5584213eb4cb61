"""Whole answers: decoded, encoded, and back."""

import json
from typing import Any

import pytest
from anthropic.types import Message as SDKMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from ccapi.core.usage import Usage
from gateway.ir.request import (
    Audio,
    Media,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Response
from gateway.protocols.anthropic import CODEC
from gateway.protocols.anthropic.blocks import number_calls
from gateway.protocols.anthropic.stops import decode_stop
from gateway.protocols.base import GarbledStream
from tests.gateway.protocols.anthropic.anthropic_kit import COST_FIELDS, COSTS, TOLD, Json, plain


def answer(**fields: Json) -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    return json.dumps(message | fields).encode()


def told(response: Response, usage: Usage | None = None) -> dict[str, Any]:
    body = CODEC.encode_response(response, TOLD, usage or Usage(), COSTS)
    SDKMessage.model_validate_json(body)
    result: dict[str, Any] = json.loads(body)
    return result


def response(*parts: Part, **fields: Json) -> Response:
    return Response(id="up_1", model="gpt", choices=(Choice(parts=parts, **fields),))


def test_blocks_in_order_with_the_raw_reason_kept() -> None:
    decoded = CODEC.decode_response(
        answer(
            content=[
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "A", "citations": None},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                {"type": "brand_new", "x": 1},
            ],
            stop_reason="tool_use",
        )
    )

    (choice,) = decoded.choices
    assert choice.parts[:4] == (
        Reasoning(text="hm", signature="s", signed_by="anthropic"),
        Text(text="A"),
        ToolCall(id="a", name="f", arguments='{"x": 1}', index=0),
        ToolCall(id="b", name="g", arguments="{}", index=1),
    )
    assert plain(choice.parts[4])["Other"]["kind"] == "brand_new"
    assert (choice.stop, choice.raw_stop) == ("tool_calls", "tool_use")
    assert (decoded.id, decoded.model) == ("msg_1", "claude-x")


def test_usage_is_told_in_anthropics_convention_with_the_costs() -> None:
    usage = Usage(input=5, cache_read=3, cache_write_1h=2, output=4, web_searches=1)

    body = told(response(Text(text="Hi"), stop="stop"), usage)

    assert body["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2},
        "output_tokens": 4,
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        **COST_FIELDS,
    }
    assert body["model"] == TOLD.model
    assert body["stop_reason"] == "end_turn"


def test_parts_of_other_protocols_in_anthropics_blocks() -> None:
    body = told(
        response(
            Reasoning(text="r", signature="z", signed_by="gemini"),
            RedactedReasoning(data="d", signed_by="openai_responses"),
            Refusal(text="No."),
            Audio(source=Media(data="xx"), transcript="said"),
            ToolCall(id="call.1", name="f", arguments="not json"),
            stop="stop",
        )
    )

    assert body["content"] == [
        {"type": "thinking", "thinking": "r", "signature": "ccapi.gemini.z"},
        {"type": "redacted_thinking", "data": "ccapi.openai_responses.d"},
        {"type": "text", "text": "No."},
        {"type": "text", "text": "said"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"partial_data": "not json"}},
    ]
    assert body["stop_reason"] == "tool_use"


def test_an_answer_without_choices_or_id_is_still_a_message() -> None:
    body = told(Response(id="", model="", choices=()))

    assert (body["id"], body["content"], body["stop_reason"]) == (TOLD.id, [], "end_turn")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        answer(content=None),
        answer(content="text"),
        answer(content=[{"text": "no type"}]),
        answer(content=[{"type": "text"}]),
    ],
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.decode_response(body)


@pytest.mark.parametrize("tokens", [-1, 1.5, 10**12, 10**30, "7"])
def test_an_answer_with_absurd_usage_is_an_answer_without_usage(tokens: object) -> None:
    assert CODEC.decode_response(answer(usage={"input_tokens": tokens})).usage is None


def test_an_answer_without_usage_tells_none() -> None:
    assert CODEC.decode_response(answer(usage=None)).usage is None


words = st.text(max_size=20)
documents = st.dictionaries(words, st.recursive(words | st.integers(-9, 9) | st.none(), st.lists))
signers = st.sampled_from(["anthropic", "gemini", "openai_responses"])
parts = st.one_of(
    st.builds(Text, text=words),
    st.builds(Reasoning, text=words),
    st.builds(Reasoning, text=words, signature=st.text(min_size=1), signed_by=signers),
    st.builds(RedactedReasoning, data=st.text(min_size=1), signed_by=signers),
    st.builds(
        ToolCall,
        id=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
        name=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
        arguments=documents.map(json.dumps),
    ),
)
counts = st.integers(0, 10**9)


@settings(deadline=None)
@given(
    st.lists(parts, max_size=6),
    st.sampled_from(["end_turn", "max_tokens", "tool_use", "pause_turn", "refusal"]),
    st.builds(
        Usage,
        input=counts,
        cache_read=counts,
        cache_write=counts.map(lambda n: n // 2),
        cache_write_1h=counts.map(lambda n: n // 2),
        output=counts.map(lambda n: n // 2),
        reasoning=counts.map(lambda n: n // 2),
        web_searches=counts,
    ),
)
def test_what_the_protocol_can_say_survives_encode_and_decode(
    given_parts: list[Part], word: str, usage: Usage
) -> None:
    choice = Choice(parts=number_calls(given_parts), stop=decode_stop(word), raw_stop=word)
    before = Response(id="msg_1", model=TOLD.model, choices=(choice,), usage=usage)

    after = CODEC.decode_response(CODEC.encode_response(before, TOLD, usage, COSTS))

    assert after.choices == before.choices
    assert plain(after.usage)["Usage"] | {"raw": None} == plain(usage)["Usage"] | {"raw": None}
    assert isinstance(after.usage.raw if after.usage else None, Raw)
