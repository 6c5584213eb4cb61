"""The official OpenAI SDK over Responses, providers of its own and of another protocol behind."""

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

WIRE = Path(__file__).parents[1] / "wire" / "openai_responses"
TEXT = "It's 日本語 — fine 🎉."
# 40 tokens in (cached ones have the price of the others where a catalog names none), 12 out, at 1
# and 2 dollars a million.
CHARGED = (40 + 2 * 12) * 1000


def framed(name: str) -> list[bytes]:
    data = (WIRE / f"{name}.sse").read_bytes()
    return [frame + b"\n\n" for frame in data.split(b"\n\n") if frame]


def whole(name: str) -> bytes:
    """The response that ends a transcript."""
    last = framed(name)[-1].split(b"data: ", 1)[1]
    return json.dumps(json.loads(last)["response"]).encode()


def serve(upstream: Upstream, *, streamed: bool) -> None:
    """The same answer from both providers, each in its own protocol."""
    said = transcripts.answer(TEXT, usage=(40, 12))
    if streamed:
        upstream.on("resp-one", stream(framed("text")))
        upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))
    else:
        upstream.on("resp-one", reply(body=whole("text")))
        upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, said)))


@pytest.mark.parametrize("model", ["resp/one", "alpha/one"])
def test_a_whole_answer_with_its_costs(
    stack: Stack, upstream: Upstream, account: Account, model: str
) -> None:
    serve(upstream, streamed=False)

    told: Any = stack.openai(account).responses.create(
        model=model, input="Hi.", instructions="Be brief."
    )

    assert told.output_text == TEXT
    assert told.status == "completed"
    assert (told.usage.input_tokens, told.usage.output_tokens) == (40, 12)
    assert told.usage.cost == CHARGED / 1e9
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - CHARGED, 0)


@pytest.mark.parametrize("model", ["resp/one", "alpha/one"])
def test_a_stream_with_its_costs(
    stack: Stack, upstream: Upstream, account: Account, model: str
) -> None:
    serve(upstream, streamed=True)

    with stack.openai(account).responses.stream(model=model, input="Hi.") as events:
        numbers = [event.sequence_number for event in events]
        told: Any = events.get_final_response()

    assert told.output_text == TEXT
    assert numbers == sorted(set(numbers))
    assert told.usage.cost == CHARGED / 1e9
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - CHARGED, 0)


def test_the_same_protocol_on_both_sides_passes_by_bytes(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    serve(upstream, streamed=True)
    asked = {"model": "resp/one", "input": [{"role": "user", "content": "Hi."}], "stream": True}

    with stack.http(account) as client:
        got = client.post("/v1/responses", json=asked).content

    assert upstream.requests[-1].path == "/v1/responses"
    sent = upstream.requests[-1].json()
    assert {**sent, "model": "", "max_output_tokens": 0} == {
        **asked,
        "model": "",
        "max_output_tokens": 0,
    }
    came = framed("text")
    assert got.startswith(b"".join(came[:-1]))
    assert got.count(b"response.completed") == came[-1].count(b"response.completed")


@pytest.mark.parametrize("model", ["resp/one", "alpha/one"])
def test_a_stream_that_breaks_raises_in_the_client(
    stack: Stack, upstream: Upstream, account: Account, model: str
) -> None:
    said = transcripts.answer(TEXT, usage=(40, 12))
    upstream.on("resp-one", stream(framed("failed")))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)[:3]))
    seen: list[str] = []

    with (
        pytest.raises(openai.APIError),
        stack.openai(account).responses.stream(model=model, input="Hi.") as events,
    ):
        seen += [event.type for event in events]

    assert "response.completed" not in seen


def test_calls_and_thoughts_reach_a_claude_client_and_come_back(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("resp-one", stream(framed("reasoning_and_calls")))
    client = stack.anthropic(account)
    tool: Any = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"model": "resp/one", "max_tokens": 500, "tools": [tool], "messages": messages}

    with client.messages.stream(**asked) as events:
        message = events.get_final_message()
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sun"}
        for block in message.content
        if isinstance(block, anthropic.types.ToolUseBlock)
    ]
    asked["messages"] = [
        *messages,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    with client.messages.stream(**asked) as events:
        events.get_final_message()

    sent = upstream.requests[-1].json()["input"]
    assert message.stop_reason == "tool_use"
    assert [item.get("type", item.get("role")) for item in sent] == [
        "user",
        "reasoning",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    assert (sent[1]["id"], sent[1]["encrypted_content"]) == ("rs_0", "gAAAAABo_secret")
    assert json.loads(sent[2]["arguments"]) == {"city": "L'Aquila"}


def test_no_customer_can_refer_to_what_a_provider_keeps_for_another(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    serve(upstream, streamed=False)
    client = stack.openai(account)
    reference: Any = [{"type": "item_reference", "id": "rs_1"}]

    for model in ("resp/one", "alpha/one"):
        for fields in ({"previous_response_id": "resp_1"}, {"input": reference}):
            with pytest.raises(openai.BadRequestError) as refused:
                client.responses.create(**{"model": model, "input": "Hi.", **fields})
            assert refused.value.code == "unsupported_parameter"

    assert upstream.requests == []


def test_what_another_protocol_cannot_know_is_refused_with_its_name(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    serve(upstream, streamed=False)
    client = stack.openai(account)

    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="alpha/one", input="Hi.", background=True, stream=True)

    assert refused.value.param == "background"
    assert refused.value.code == "unsupported_parameter"
    assert upstream.count("alpha-one") == 0
