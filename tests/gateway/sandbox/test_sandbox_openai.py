"""OpenAI's own SDK against the sandbox: what it says, and each way in which it fails."""

import base64
from collections.abc import Iterator
from typing import Any, TypeAlias

import httpx2
import openai
import pytest
from openai import OpenAI

from gateway.sandbox.answers import REASONING
from tests.fakes.sandbox import sandbox

# The SDKs' unions over every event and block; the assertions say what they hold.
Loose: TypeAlias = Any

HELLO: list[Loose] = [{"role": "user", "content": "Hello there,  world"}]
WEATHER: Loose = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city",
        "parameters": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with sandbox() as url, OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


def ask(client: OpenAI, model: str = "echo", messages: Loose = HELLO, **more: Loose) -> Loose:
    return client.chat.completions.create(model=model, messages=messages, **more)


def text_of(chunks: list[Loose]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def read_into(stream: Loose, seen: list[Loose]) -> None:
    """Keeps what came before an error."""
    for chunk in stream:
        seen.append(chunk)


def test_echo_gives_back_the_last_user_message_and_counts_exactly(client: OpenAI) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]

    answer = ask(client, messages=messages)

    assert answer.choices[0].message.content == "Hello there,  world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 2 + 3
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == 8
    assert answer._request_id.startswith("req_")


def test_a_stream_brings_a_token_an_event_and_usage_when_asked(client: OpenAI) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))

    assert [c.choices[0].delta.content for c in chunks[1:-2]] == ["Hello", " there,", "  world"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3
    assert len({c.id for c in chunks}) == 1


def test_a_stream_says_nothing_of_usage_unless_asked(client: OpenAI) -> None:
    assert all(chunk.usage is None for chunk in ask(client, stream=True))


def test_max_tokens_stop_and_n_are_honoured(client: OpenAI) -> None:
    cut = ask(client, max_tokens=2)
    stopped = ask(client, stop=[","])
    twice = ask(client, n=2)

    assert cut.choices[0].message.content == "Hello there,"
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)
    assert stopped.choices[0].message.content == "Hello there"
    assert stopped.choices[0].finish_reason == "stop"
    assert [choice.message.content for choice in twice.choices] == ["Hello there,  world"] * 2
    assert twice.usage.completion_tokens == 6


def test_a_tool_is_called_with_the_arguments_byte_for_byte(client: OpenAI) -> None:
    arguments = '{"city":  "Zürich", "days": 1.0}'
    messages = [{"role": "user", "content": f"call weather {arguments}"}]

    whole = ask(client, messages=messages, tools=[WEATHER]).choices[0]
    chunks = [c.choices[0] for c in ask(client, messages=messages, tools=[WEATHER], stream=True)]
    deltas = [choice.delta.tool_calls[0] for choice in chunks if choice.delta.tool_calls]

    assert whole.finish_reason == chunks[-1].finish_reason == "tool_calls"
    assert whole.message.tool_calls[0].function.arguments == arguments
    assert "".join(delta.function.arguments for delta in deltas) == arguments
    assert deltas[0].function.name == "weather"
    assert deltas[0].id.startswith("call_")


def test_a_tool_result_is_echoed_and_the_round_trip_counted(client: OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "call weather {}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12 degrees"},
    ]

    answer = ask(client, messages=messages, tools=[WEATHER])

    assert answer.choices[0].message.content == "12 degrees"
    # Tool: name 1, description 4, schema `{"type":"object"}` 2. Messages: 3, weather 1, {} 1, 2.
    assert answer.usage.prompt_tokens == 7 + 3 + 2 + 2


def test_tool_choice_required_calls_though_the_text_does_not_ask(client: OpenAI) -> None:
    answer = ask(client, tools=[WEATHER], tool_choice="required")

    assert answer.choices[0].message.tool_calls[0].function.arguments == "{}"


def test_an_image_is_described_by_media_type_and_size(client: OpenAI) -> None:
    data = base64.b64encode(b"\x89PNG" * 17).decode()
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]

    answer = ask(client, messages=[{"role": "user", "content": parts}])

    assert answer.choices[0].message.content == "Look:\n[image/png, 68 bytes]"


def test_reasoning_comes_before_the_text_and_is_counted(client: OpenAI) -> None:
    options = {"include_usage": True}
    chunks = list(ask(client, "reasoning", stream=True, stream_options=options))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]

    thought = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(thought) == "".join(REASONING)
    assert text_of(chunks) == "Hello there,  world"
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == len(REASONING)
    assert chunks[-1].usage.completion_tokens == len(REASONING) + 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error", "status", "code"),
    [
        ("server-error", openai.InternalServerError, 500, None),
        ("server-error:502", openai.InternalServerError, 502, None),
        ("rate-limited", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("overloaded", openai.InternalServerError, 503, None),
        ("invalid-key", openai.AuthenticationError, 401, "invalid_api_key"),
        ("no-credit", openai.RateLimitError, 429, "insufficient_quota"),
        ("no-credit:402", openai.APIStatusError, 402, "insufficient_quota"),
        ("not-found", openai.NotFoundError, 404, "model_not_found"),
        ("no-such-model", openai.NotFoundError, 404, "model_not_found"),
        ("context-length", openai.BadRequestError, 400, "context_length_exceeded"),
        ("content-filter", openai.BadRequestError, 400, "content_filter"),
    ],
)
def test_a_failure_is_the_exception_the_sdk_has_for_it(
    client: OpenAI,
    model: str,
    error: type[openai.APIStatusError],
    status: int,
    code: str | None,
    stream: bool,
) -> None:
    with pytest.raises(error) as raised:
        ask(client, model, stream=stream)

    assert (raised.value.status_code, raised.value.code) == (status, code)
    assert raised.value.request_id is not None


def test_a_rate_limit_says_when_to_come_back(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, "rate-limited:7")

    assert raised.value.response.headers["retry-after"] == "7"


def test_a_window_large_enough_is_answered(client: OpenAI) -> None:
    assert ask(client, "context-length:3").usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError, match=r"2 tokens\. However.* 3 tokens"):
        ask(client, "context-length:2")


def test_an_answer_can_be_withheld_after_it_began(client: OpenAI) -> None:
    chunks = list(ask(client, "content-filter:1", stream=True))

    assert text_of(chunks) == "Hello"
    assert chunks[-1].choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("model", "text"), [("cut-midstream", "Hello there,"), ("cut-midstream:1", "Hello")]
)
def test_a_stream_cut_in_the_middle_raises_after_its_first_words(
    client: OpenAI, model: str, text: str
) -> None:
    chunks: list[Loose] = []

    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        read_into(ask(client, model, stream=True), chunks)

    assert text_of(chunks) == text
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


def test_a_stream_without_its_end_marker_ends_cleanly(client: OpenAI) -> None:
    whole = list(ask(client, "no-end-marker", stream=True))
    part = list(ask(client, "no-end-marker:2", stream=True))
    with client.chat.completions.with_streaming_response.create(
        model="no-end-marker", messages=HELLO, stream=True
    ) as raw:
        lines = list(raw.iter_lines())

    assert (text_of(whole), whole[-1].choices[0].finish_reason) == ("Hello there,  world", "stop")
    assert (text_of(part), part[-1].choices[0].finish_reason) == ("Hello there,", None)
    assert "data: [DONE]" not in lines


def test_an_error_event_inside_a_stream_raises(client: OpenAI) -> None:
    chunks: list[Loose] = []

    with pytest.raises(openai.APIError, match="overloaded"):
        read_into(ask(client, "error-midstream:1", stream=True), chunks)

    assert text_of(chunks) == "Hello"


def test_a_garbled_frame_is_no_json(client: OpenAI) -> None:
    with pytest.raises(ValueError, match="Unterminated string"):
        list(ask(client, "garbled", stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_silence_runs_into_the_clients_timeout(client: OpenAI, stream: bool) -> None:
    brief = client.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        ask(brief, "slow-first-byte:5", stream=stream)

    with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
        list(ask(brief, "stall:5", stream=stream))


def test_a_stall_goes_on_after_its_time(client: OpenAI) -> None:
    assert text_of(list(ask(client, "stall:0.05", stream=True))) == "Hello there,  world"
    assert ask(client, "stall:0.05").choices[0].message.content == "Hello there,  world"
    assert ask(client, "slow-first-byte:0.05").choices[0].message.content == "Hello there,  world"


def test_usage_can_be_missing_or_absurd_and_the_answer_empty(client: OpenAI) -> None:
    options = {"include_usage": True}

    assert ask(client, "no-usage").usage is None
    assert all(
        c.usage is None for c in ask(client, "no-usage", stream=True, stream_options=options)
    )
    absurd = ask(client, "absurd-usage").usage
    assert (absurd.prompt_tokens, absurd.completion_tokens) == (10**15, -7)
    assert ask(client, "absurd-usage:-1").usage.prompt_tokens == -1
    empty = list(ask(client, "empty", stream=True))
    assert (text_of(empty), empty[-1].choices[0].finish_reason) == ("", "stop")
    assert ask(client, "empty").usage.completion_tokens == 0


def test_endless_streams_until_hung_up(client: OpenAI) -> None:
    with ask(client, "endless:0.005", stream=True) as stream:
        words = [next(stream).choices[0].delta.content for _ in range(12)]

    assert "".join(words).startswith("Hello there,  world Hello there,  world ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"messages": [{"role": "bishop", "content": "x"}]}, "bishop"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "preceeding"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
        ({"tool_choice": {"type": "function", "function": {"name": "none"}}}, "not found"),
    ],
)
def test_a_request_that_openai_refuses_is_refused(
    client: OpenAI, body: dict[str, Loose], reason: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=reason):
        client.post(
            "/chat/completions",
            body={"model": "echo", "messages": HELLO} | body,
            cast_to=openai.types.chat.ChatCompletion,
        )
