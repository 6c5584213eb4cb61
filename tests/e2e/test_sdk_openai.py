"""The official OpenAI SDK as the client, an OpenAI provider behind: whole answers and streams."""

import base64
import json

import openai
import pytest
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

SAY_HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hi."}]
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
ARGUMENTS = '{"city": "Xi\'an, \\"old\\" town"}'


def test_a_whole_answer_carries_its_cost_to_the_nano_dollar(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer("hi there", usage=(10, 5))
    upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, said)))

    answer = stack.openai(account).chat.completions.with_raw_response.create(
        model="alpha/one",
        messages=SAY_HI,
    )

    completion = answer.parse()
    assert completion.choices[0].message.content == "hi there"
    assert completion.model == "alpha/one"
    extra = completion.model_extra or {}
    assert extra["provider"] == "alpha"
    assert completion.usage is not None
    # 10 tokens at 1 dollar a million, 5 at 2.
    assert completion.usage.model_extra == {
        "input_cost": 0.00001,
        "output_cost": 0.00001,
        "cost": 0.00002,
    }
    assert answer.headers["x-ccapi-cost"] == "0.00002"
    assert answer.headers["x-ccapi-provider"] == "alpha"
    assert answer.headers["x-ccapi-model"] == "alpha/one"
    assert answer.headers["x-ccapi-attempts"] == "alpha/one=200"
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)
    sent = upstream.requests[0]
    assert sent.headers["authorization"] == "Bearer upstream-secret-of-alpha"
    assert sent.json()["model"] == "alpha-one"


def test_the_receipt_explains_the_charge(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, transcripts.answer("hello"))))
    answer = stack.openai(account).chat.completions.with_raw_response.create(
        model="alpha/one",
        messages=SAY_HI,
    )

    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])

    assert receipt["model"] == "alpha/one"
    assert receipt["provider"] == "alpha"
    assert receipt["status"] == "ok"
    assert receipt["cost"] == "0.00002"
    assert receipt["usage_source"] == "provider"
    assert [tried["status"] for tried in receipt["attempts"]] == [200]
    assert receipt["request_id"] == answer.headers["x-request-id"]


def test_a_stream_ends_with_usage_and_costs_although_nobody_asked(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer("one two three", usage=(7, 3))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))

    chunks = list(
        stack.openai(account).chat.completions.create(
            model="alpha/one",
            messages=SAY_HI,
            stream=True,
        )
    )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three"
    assert {chunk.model for chunk in chunks} == {"alpha/one"}
    assert all((chunk.model_extra or {})["provider"] == "alpha" for chunk in chunks)
    last = chunks[-1]
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (7, 3)
    assert (last.usage.model_extra or {})["cost"] == 0.000013
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 13_000, 0)


@pytest.mark.parametrize("model", ["alpha/one", "beta/one"])
@pytest.mark.parametrize("streamed", [False, True])
def test_tool_arguments_arrive_byte_exact(
    stack: Stack, upstream: Upstream, account: Account, model: str, streamed: bool
) -> None:
    dialect = OPENAI if model == "alpha/one" else ANTHROPIC
    said = transcripts.answer(calls=[("weather", ARGUMENTS)])
    name = model.replace("/", "-")
    if streamed:
        upstream.on(name, stream(transcripts.frames(dialect, said)))
    else:
        upstream.on(name, reply(body=transcripts.body(dialect, said)))

    client = stack.openai(account)
    if streamed:
        with client.chat.completions.stream(model=model, messages=SAY_HI, tools=TOOLS) as answer:
            completion: ChatCompletion = answer.get_final_completion()
    else:
        completion = client.chat.completions.create(model=model, messages=SAY_HI, tools=TOOLS)

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    (call,) = calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert call.function.name == "weather"
    if dialect is OPENAI or streamed:
        assert call.function.arguments == ARGUMENTS
    assert json.loads(call.function.arguments) == json.loads(ARGUMENTS)
    assert completion.choices[0].finish_reason == "tool_calls"


def test_an_image_and_reasoning_pass_to_an_anthropic_provider_and_back(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer("A dot.", reasoning="It is small.")
    upstream.on("beta-one", reply(body=transcripts.body(ANTHROPIC, said)))
    pixel = base64.b64encode(b"\x89PNG the gateway does not look inside").decode()

    completion = stack.openai(account).chat.completions.create(
        model="beta/one",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
                ],
            },
        ],
        max_tokens=50,
    )

    message = completion.choices[0].message
    assert message.content == "A dot."
    assert (message.model_extra or {})["reasoning_content"] == "It is small."
    sent = upstream.requests[0]
    assert sent.path == "/v1/messages"
    assert sent.headers["x-api-key"] == "upstream-secret-of-beta"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    body = sent.json()
    assert body["max_tokens"] == 50
    image = body["messages"][0]["content"][1]["source"]
    assert image == {"type": "base64", "media_type": "image/png", "data": pixel}
    assert "Be brief." in json.dumps(body["system"])


def test_errors_arrive_as_the_sdks_own_exceptions(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    status, body = transcripts.error(OPENAI, "server")
    upstream.on("alpha-one", reply(status, body))
    client = stack.openai(account)

    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="alpha/one", messages=SAY_HI)
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="alpha/none", messages=SAY_HI)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(
            model="alpha/one",
            messages=[{"role": "user", "content": [{"text": "no type"}]}],  # type: ignore[list-item,misc]  # the very fault
        )
    with pytest.raises(openai.AuthenticationError) as unknown:
        stack.openai(Account("org", "sk-cc-" + "0" * 46)).chat.completions.create(
            model="alpha/one",
            messages=SAY_HI,
        )

    assert failed.value.status_code == 502
    assert failed.value.code == "upstream_error"
    assert missing.value.code == "model_not_found"
    assert wrong.value.code == "missing_parameter"
    assert wrong.value.param == "messages[0].content[0].type"
    assert unknown.value.code == "unauthorized"
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000, 0)


def test_a_wrong_request_gets_the_providers_own_answer_without_our_key(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    error = {"message": "bad seed, key upstream-secret-of-alpha", "param": "seed", "code": None}
    text = json.dumps({"error": error}).encode()
    upstream.on("alpha-one", reply(400, text))

    with pytest.raises(openai.BadRequestError) as wrong:
        stack.openai(account).chat.completions.create(
            model="alpha/one",
            messages=SAY_HI,
            seed=-1,
        )

    assert wrong.value.param == "seed"
    assert "upstream-secret" not in str(wrong.value)
    assert "[redacted]" in str(wrong.value)
