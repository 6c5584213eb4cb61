"""Recorded traffic of real providers: their SDKs see the same directly and through the gateway.

The recordings are data of others and not part of this project: `CCAPI_EXCHANGES` names the file
(JSON lines with `id`, `protocol`, `stream`, `request`, `status`, `content_type`, `body`); without
it these tests skip.
"""

import json
import os
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import Message, MessageParam

from tests.e2e.stack import Account, Stack
from tests.fakes.steps import reply
from tests.fakes.upstream import Upstream

FILE = os.environ.get("CCAPI_EXCHANGES", "")
COSTS = {"input_cost", "output_cost", "cost"}


def recorded(protocol: str) -> list[dict[str, Any]]:
    if not FILE:
        return []
    lines = Path(FILE).read_text().splitlines()
    exchanges = [json.loads(line) for line in lines]
    return [
        exchange
        for exchange in exchanges
        if exchange["protocol"] == protocol and exchange["status"] == 200
    ]


def is_answer(exchange: dict[str, Any]) -> bool:
    """Whether this is an answer at all: a demo server echoes text, Groq fails in a stream."""
    return exchange["content_type"] != "text/plain" and "failed_generation" not in exchange["body"]


OPENAI = [exchange for exchange in recorded("openai") if is_answer(exchange)]
OPENAI_FAILURES = [exchange for exchange in recorded("openai") if not is_answer(exchange)]
ANTHROPIC = recorded("anthropic")
needs_recordings = pytest.mark.skipif(not FILE, reason="CCAPI_EXCHANGES names no recordings")


@pytest.fixture(scope="module")
def rich(shared_stack: Stack) -> Account:
    return shared_stack.account("1000000.00")


def answers(upstream: Upstream, exchange: dict[str, Any]) -> None:
    """The provider answers as it was recorded."""
    body = exchange["body"].encode()
    upstream.on(None, reply(body=body, media_type=exchange["content_type"]))


def ask(exchange: dict[str, Any], model: str) -> dict[str, Any]:
    return {**exchange["request"], "model": model}


def see_openai(client: openai.OpenAI, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the SDK makes of the answer: a completion, or its chunks."""
    if body.get("stream"):
        chunks = client.post(
            "/chat/completions",
            cast_to=openai.types.chat.ChatCompletion,
            body=body,
            stream=True,
            stream_cls=openai.Stream[openai.types.chat.ChatCompletionChunk],
        )
        return [chunk.model_dump() for chunk in chunks]
    completion = client.post(
        "/chat/completions", cast_to=openai.types.chat.ChatCompletion, body=body
    )
    return [completion.model_dump()]


def see_anthropic(client: anthropic.Anthropic, body: dict[str, Any]) -> list[dict[str, Any]]:
    if body.get("stream"):
        events = client.post(
            "/v1/messages",
            cast_to=anthropic.types.Message,
            body=body,
            stream=True,
            stream_cls=anthropic.Stream[anthropic.types.RawMessageStreamEvent],
        )
        return [event.model_dump() for event in events]
    message = client.post("/v1/messages", cast_to=anthropic.types.Message, body=body)
    return [message.model_dump()]


def without_added(seen: dict[str, Any], *more: str) -> dict[str, Any]:
    """What is listed as added taken out: the costs inside `usage`, and the fields named.

    OpenRouter writes a `cost` of its own, which ours replaces.
    """
    kept = {name: value for name, value in seen.items() if name not in more}
    usage = kept.get("usage")
    if isinstance(usage, dict):
        kept["usage"] = {name: value for name, value in usage.items() if name not in COSTS}
    return kept


@needs_recordings
@pytest.mark.parametrize("exchange", OPENAI, ids=lambda exchange: exchange["id"])
def test_an_openai_exchange_reads_the_same_through_the_gateway(
    stack: Stack, upstream: Upstream, rich: Account, exchange: dict[str, Any]
) -> None:
    answers(upstream, exchange)
    body = ask(exchange, "alpha/recorded")

    directly = see_openai(openai.OpenAI(api_key="none", base_url=upstream.url, max_retries=0), body)
    through = see_openai(stack.openai(rich), body)

    if exchange["stream"] and "usage" in through[-1] and not through[-1]["choices"]:
        usage = through[-1]["usage"]
        assert usage.keys() >= COSTS
        if not any(chunk.get("usage") and not chunk["choices"] for chunk in directly):
            through.pop()  # the chunk that we add where the provider sent none
    ours = [without_added(seen, "model", "provider") for seen in through]
    theirs = [without_added(seen, "model", "provider") for seen in directly]
    assert ours == theirs
    assert {seen["model"] for seen in through} == {"alpha/recorded"}
    sent = upstream.requests[-1].json()
    expected = {**exchange["request"], "model": "alpha-recorded"}
    if exchange["stream"]:
        expected["stream_options"] = {
            **(exchange["request"].get("stream_options") or {}),
            "include_usage": True,
        }
    assert sent == expected


@needs_recordings
@pytest.mark.parametrize("exchange", OPENAI_FAILURES, ids=lambda exchange: exchange["id"])
def test_what_is_no_answer_raises_in_the_sdk_and_leaves_no_hold(
    stack: Stack, upstream: Upstream, account: Account, exchange: dict[str, Any]
) -> None:
    answers(upstream, exchange)

    with pytest.raises(openai.APIError):
        see_openai(stack.openai(account), ask(exchange, "alpha/recorded"))

    stack.wait_for_no_holds()
    posted, held = stack.balance(account)
    # Groq reasons aloud before it fails, and what was delivered is charged.
    delivered = exchange["stream"]
    assert held == 0
    assert (posted < 1_000_000_000) == delivered


@needs_recordings
@pytest.mark.parametrize("exchange", ANTHROPIC, ids=lambda exchange: exchange["id"])
def test_an_anthropic_exchange_reads_the_same_through_the_gateway(
    stack: Stack, upstream: Upstream, rich: Account, exchange: dict[str, Any]
) -> None:
    answers(upstream, exchange)
    body = ask(exchange, "beta/recorded")

    directly = see_anthropic(
        anthropic.Anthropic(api_key="none", base_url=upstream.url, max_retries=0), body
    )
    through = see_anthropic(stack.anthropic(rich), body)

    assert [without_added(seen) for seen in through] == directly
    assert through[-1]["type"] == "message_stop" or through[-1]["usage"].keys() >= COSTS
    assert upstream.requests[-1].json() == {**exchange["request"], "model": "beta-recorded"}


@needs_recordings
@pytest.mark.parametrize("exchange", OPENAI, ids=lambda exchange: exchange["id"])
def test_an_openai_answer_means_the_same_to_an_anthropic_client(
    stack: Stack, upstream: Upstream, rich: Account, exchange: dict[str, Any]
) -> None:
    answers(upstream, exchange)
    body = ask(exchange, "alpha/recorded")
    directly = see_openai(openai.OpenAI(api_key="none", base_url=upstream.url, max_retries=0), body)

    client = stack.anthropic(rich)
    hi: list[MessageParam] = [{"role": "user", "content": "Hi."}]
    if exchange["stream"]:
        with client.messages.stream(
            model="alpha/recorded", max_tokens=20_000, messages=hi
        ) as events:
            message: Message = events.get_final_message()
    else:
        message = client.messages.create(model="alpha/recorded", max_tokens=20_000, messages=hi)

    text, calls = _of_openai(directly)
    assert "".join(block.text for block in message.content if block.type == "text") == text
    ours = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert ours == [(name, json.loads(arguments or "{}")) for name, arguments in calls]


def _of_openai(seen: list[dict[str, Any]]) -> tuple[str, list[tuple[str, str]]]:
    """Text and tool calls of choice 0, of a whole answer or of its chunks."""
    text = ""
    calls: dict[int, tuple[str, str]] = {}
    for piece in seen:
        for choice in piece["choices"] or []:
            said = choice.get("message") or choice["delta"]
            text += _text(said.get("content")) or said.get("refusal") or ""
            for place, call in enumerate(said.get("tool_calls") or []):
                index = call.get("index", place)
                name, arguments = calls.get(index, ("", ""))
                function = call["function"]
                calls[index] = (
                    name + (function.get("name") or ""),
                    arguments + (function.get("arguments") or ""),
                )
    return text, [calls[index] for index in sorted(calls)]


@needs_recordings
@pytest.mark.parametrize("exchange", ANTHROPIC, ids=lambda exchange: exchange["id"])
def test_an_anthropic_answer_means_the_same_to_an_openai_client(
    stack: Stack, upstream: Upstream, rich: Account, exchange: dict[str, Any]
) -> None:
    answers(upstream, exchange)
    directly = see_anthropic(
        anthropic.Anthropic(api_key="none", base_url=upstream.url, max_retries=0),
        ask(exchange, "beta/recorded"),
    )

    through = see_openai(
        stack.openai(rich),
        {
            "model": "beta/recorded",
            "messages": [{"role": "user", "content": "Hi."}],
            "stream": exchange["stream"],
        },
    )

    text, calls = _of_openai(through)
    expected_text, expected_calls, usage = _of_anthropic(directly)
    assert text == expected_text
    assert [(name, json.loads(arguments or "{}")) for name, arguments in calls] == expected_calls
    assert through[-1]["usage"]["completion_tokens"] == usage["output_tokens"]
    assert through[-1]["usage"]["prompt_tokens"] == (
        usage["input_tokens"]
        + (usage.get("cache_read_input_tokens") or 0)
        + (usage.get("cache_creation_input_tokens") or 0)
    )


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """Text of a message; Mistral's reasoning models write it in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part["type"] == "text")
    return content or ""


def _of_anthropic(
    seen: list[dict[str, Any]],
) -> tuple[str, list[tuple[str, Any]], dict[str, Any]]:
    """Text, tool calls and final usage, of a whole message or of its events."""
    if seen[0]["type"] == "message":
        blocks, usage = seen[0]["content"], seen[0]["usage"]
    else:
        blocks, usage = [], {}
        for event in seen:
            match event["type"]:
                case "message_start":
                    usage = dict(event["message"]["usage"])
                case "content_block_start":
                    blocks.append({**event["content_block"], "json": ""})
                case "content_block_delta":
                    delta = event["delta"]
                    blocks[-1]["json"] += delta.get("partial_json") or ""
                    if delta.get("text"):
                        blocks[-1]["text"] += delta["text"]
                case "message_delta":
                    usage |= {k: v for k, v in event["usage"].items() if v is not None}
        for block in blocks:
            if block["type"] == "tool_use":
                block["input"] = json.loads(block["json"] or "{}")
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    return text, calls, usage
