"""The official Google SDK as the client, providers of its own and of another protocol behind."""

import json
from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import types
from google.genai.errors import APIError

from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
TOOL: Any = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather of a city.",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
        )
    ]
)


def client_of(stack: Stack, account: Account) -> Any:  # noqa: ANN401 - all its types are optional
    """To be kept in a variable: the SDK hangs up when its client is forgotten."""
    options = types.HttpOptions(base_url=stack.webs[0].url)
    return genai.Client(api_key=account.api_key, http_options=options)


def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if "finish" in more:
        candidate["finishReason"] = more.pop("finish")
    return {"candidates": [candidate], "modelVersion": "gem-one", "responseId": "r1"} | more


def framed(*chunks: dict[str, Any]) -> list[bytes]:
    return [b"data: " + json.dumps(told).encode() + b"\r\n\r\n" for told in chunks]


CALL = {
    "functionCall": {"name": "weather", "args": {"city": "it's Paris"}},
    "thoughtSignature": "YWJj",
}
SAID = framed(chunk({"text": "hi "}), chunk({"text": "there"}, finish="STOP", usageMetadata=USAGE))


@pytest.mark.parametrize("model", ["gem/one", "alpha/one"])
def test_a_whole_answer_with_its_costs(
    stack: Stack, upstream: Upstream, account: Account, model: str
) -> None:
    answer = chunk({"text": "hi there"}, finish="STOP", usageMetadata=USAGE)
    upstream.on(None, reply(body=json.dumps(answer).encode()))
    said = transcripts.answer("hi there", usage=(10, 5))
    upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, said)))

    google = client_of(stack, account)
    told = google.models.generate_content(model=model, contents="Say hi.")

    assert told.text == "hi there"
    assert told.candidates[0].finish_reason == "STOP"
    assert told.usage_metadata.total_token_count == 15
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)


@pytest.mark.parametrize("model", ["gem/one", "alpha/one"])
def test_a_stream_of_text(stack: Stack, upstream: Upstream, account: Account, model: str) -> None:
    upstream.on(None, stream(SAID))
    said = transcripts.answer("hi there", usage=(10, 5))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)))

    google = client_of(stack, account)
    chunks = list(google.models.generate_content_stream(model=model, contents="Say hi."))

    assert "".join(told.text or "" for told in chunks) == "hi there"
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.total_token_count == 15
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000 - 20_000, 0)


def test_the_key_goes_upstream_in_a_header_and_never_in_the_path(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on(None, stream(SAID))

    with stack.http(account) as http:
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        answer = http.post("/v1beta/models/gem/one:streamGenerateContent?alt=sse", json=body)

    assert answer.status_code == 200
    sent = upstream.requests[-1]
    assert sent.path == "/v1beta/models/gem-one:streamGenerateContent?alt=sse"
    assert sent.headers["x-goog-api-key"] == "upstream-secret-of-gem"
    assert sent.json()["contents"] == body["contents"]
    assert answer.text.count('"cost":0.00002') == 1


def test_without_alt_sse_the_stream_is_one_json_array(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on(None, stream(SAID))

    with stack.http(account) as http:
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        answer = http.post("/v1beta/models/gem/one/streamGenerateContent", json=body)

    assert answer.headers["content-type"].startswith("application/json")
    assert len(answer.json()) == 2


@pytest.mark.parametrize("model", ["gem/one", "alpha/one"])
def test_a_stream_that_broke_is_an_error_to_the_sdk(
    stack: Stack, upstream: Upstream, account: Account, model: str
) -> None:
    said = transcripts.answer("hi there", usage=(10, 5))
    upstream.on(None, stream(SAID[:1]))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said)[:-2]))

    google = client_of(stack, account)
    with pytest.raises(APIError):
        list(google.models.generate_content_stream(model=model, contents="Hi."))


def test_a_blocked_prompt_is_a_refusal(stack: Stack, upstream: Upstream, account: Account) -> None:
    upstream.on(None, reply(body=b'{"promptFeedback":{"blockReason":"SAFETY"}}'))

    google = client_of(stack, account)
    with pytest.raises(APIError) as caught:
        google.models.generate_content(model="gem/one", contents="Hi.")

    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    stack.wait_for_no_holds()
    assert stack.balance(account) == (1_000_000_000, 0)


def test_a_claude_client_runs_a_tool_of_gemini_and_the_signature_goes_back(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    first = framed(chunk(CALL, finish="STOP", usageMetadata=USAGE))
    upstream.on(None, stream(first), stream(SAID))
    client = stack.anthropic(account)
    tool: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
    asked: list[anthropic.types.MessageParam] = [{"role": "user", "content": "How is it?"}]
    settings: dict[str, Any] = {"model": "gem/one", "max_tokens": 100, "tools": [tool]}

    with client.messages.stream(messages=asked, **settings) as events:
        message = events.get_final_message()
    call = message.content[-1]
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert call.input == {"city": "it's Paris"}
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain."}
    asked += [
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    with client.messages.stream(messages=asked, **settings) as events:
        assert events.get_final_text() == "hi there"

    _, said, answered = upstream.requests[-1].json()["contents"]
    assert said["parts"][0]["thoughtSignature"] == "YWJj"
    assert answered["parts"][0]["functionResponse"]["name"] == "weather"
