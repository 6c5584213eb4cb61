"""Tool compat mode through the running product: tools in the prompt, calls out of the text."""

import json
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import OPENAI, RESPONSES
from tests.fakes.upstream import Upstream

TOOL: dict[str, Any] = {
    "name": "write",
    "description": "Writes a file.",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
        "required": ["path"],
    },
}
TEXT = (
    "I will.\n<cs:tool_use><name>write</name><args>"
    '<arg name="path">it\'s &amp; co</arg><arg name="lines">3</arg></args></cs:tool_use>'
)
ARGUMENTS = {"path": "it's & co", "lines": 3}


def serve(upstream: Upstream, *, streamed: bool) -> None:
    said = transcripts.answer(TEXT)
    if streamed:
        upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))
    else:
        upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, said)))


@pytest.mark.parametrize("prefix", ["/compat_mode", "/compat"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_openai_client_gets_calls_from_a_model_that_has_no_tools(
    stack: Stack, upstream: Upstream, account: Account, prefix: str, streamed: bool
) -> None:
    serve(upstream, streamed=streamed)
    client = OpenAI(base_url=f"{stack.webs[0].url}{prefix}/v1", api_key=account.api_key)
    asked: dict[str, Any] = {
        "model": "alpha/one",
        "messages": [{"role": "user", "content": "Write."}],
        "tools": [{"type": "function", "function": TOOL}],
    }

    if streamed:
        with client.chat.completions.stream(**asked) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I will.\n"
    call = choice.message.tool_calls[0]
    assert call.function.name == "write"
    assert json.loads(call.function.arguments) == ARGUMENTS
    sent = upstream.requests[-1].json()
    assert "tools" not in sent
    assert "<cs:tool-use-guide>" in sent["messages"][0]["content"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_claude_client_gets_them_from_a_provider_of_another_protocol(
    stack: Stack, upstream: Upstream, account: Account, streamed: bool
) -> None:
    serve(upstream, streamed=streamed)
    client = Anthropic(base_url=f"{stack.webs[0].url}/compat_mode", api_key=account.api_key)
    tool: Any = {
        "name": "write",
        "description": "Writes a file.",
        "input_schema": TOOL["parameters"],
    }
    asked: dict[str, Any] = {
        "model": "alpha/one",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "Write."}],
        "tools": [tool],
    }

    if streamed:
        with client.messages.stream(**asked) as events:
            message: Any = events.get_final_message()
    else:
        message = client.messages.create(**asked)

    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[1].input == ARGUMENTS


@pytest.mark.parametrize("model", ["alpha/one", "resp/one"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_of_responses_gets_them_from_providers_of_both_of_openais_protocols(
    stack: Stack, upstream: Upstream, account: Account, model: str, streamed: bool
) -> None:
    said, spoken = transcripts.answer(TEXT), RESPONSES if model == "resp/one" else OPENAI
    script = stream(transcripts.frames(spoken, said)) if streamed else None
    upstream.on(model.replace("/", "-"), script or reply(body=transcripts.body(spoken, said)))
    client = OpenAI(base_url=f"{stack.webs[0].url}/compat/v1", api_key=account.api_key)
    asked: dict[str, Any] = {
        "model": model,
        "input": "Write.",
        "tools": [{"type": "function", **TOOL}],
    }

    if streamed:
        with client.responses.stream(**asked) as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(**asked)

    assert response.status == "completed"
    assert response.output_text == "I will.\n"
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert response.output[1].name == "write"
    assert json.loads(response.output[1].arguments) == ARGUMENTS
    sent = upstream.requests[-1].json()
    assert "tools" not in sent
    assert "<cs:tool-use-guide>" in json.dumps(sent)


def test_without_tools_the_prefix_changes_nothing(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    serve(upstream, streamed=False)

    with stack.http(account) as client:
        asked = {"model": "alpha/one", "messages": [{"role": "user", "content": "Hi."}]}
        answer = client.post("/compat/v1/chat/completions", json=asked)

    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert len(upstream.requests[-1].json()["messages"]) == 1
