"""Anthropic's own SDK against the sandbox: what it says, and each way in which it fails."""

import base64
from collections.abc import Iterator
from typing import Any, TypeAlias

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from gateway.sandbox.answers import REASONING
from tests.fakes.sandbox import sandbox

# The SDKs' unions over every event and block; the assertions say what they hold.
Loose: TypeAlias = Any

HELLO: list[Loose] = [{"role": "user", "content": "Hello there,  world"}]
WEATHER: Loose = {
    "name": "weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object"},
}


@pytest.fixture(scope="module")
def client() -> Iterator[Anthropic]:
    with sandbox() as url, Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


def ask(client: Anthropic, model: str = "echo", messages: Loose = HELLO, **more: Loose) -> Loose:
    return client.messages.create(
        model=model, messages=messages, max_tokens=more.pop("max_tokens", 100), **more
    )


def final(client: Anthropic, model: str = "echo", messages: Loose = HELLO, **more: Loose) -> Loose:
    """The message that the SDK itself folds from a stream."""
    with client.messages.stream(model=model, messages=messages, max_tokens=100, **more) as stream:
        return stream.get_final_message()


def text_of(events: list[Loose]) -> str:
    deltas = (event.delta for event in events if event.type == "content_block_delta")
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


def read_into(stream: Loose, seen: list[Loose]) -> None:
    """Keeps what came before an error."""
    for event in stream:
        seen.append(event)


def test_echo_gives_back_the_last_user_message_and_counts_exactly(client: Anthropic) -> None:
    answer = ask(client, system="Be brief.")

    assert answer.content[0].text == "Hello there,  world"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2 + 3, 3)
    assert answer._request_id.startswith("req_")


def test_a_stream_has_every_event_in_its_place(client: Anthropic) -> None:
    events = list(ask(client, stream=True))

    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert text_of(events) == "Hello there,  world"
    assert events[0].message.usage.input_tokens == 3
    assert events[-2].usage.output_tokens == 3


@pytest.mark.parametrize("answer_of", [ask, final])
def test_stop_sequences_are_honoured_and_named(client: Anthropic, answer_of: Loose) -> None:
    answer = answer_of(client, stop_sequences=["!", ","])

    assert answer.content[0].text == "Hello there"
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", ",")


def test_max_tokens_is_honoured(client: Anthropic) -> None:
    answer = ask(client, max_tokens=2)

    assert (answer.content[0].text, answer.stop_reason) == ("Hello there,", "max_tokens")


@pytest.mark.parametrize("answer_of", [ask, final])
def test_tools_are_called_side_by_side_with_the_given_arguments(
    client: Anthropic, answer_of: Loose
) -> None:
    text = 'call weather {"city": "Zürich"} call weather {"city": "Bern", "days": 2}'

    answer = answer_of(client, messages=[{"role": "user", "content": text}], tools=[WEATHER])

    assert answer.stop_reason == "tool_use"
    assert [block.input for block in answer.content] == [
        {"city": "Zürich"},
        {"city": "Bern", "days": 2},
    ]


def test_arguments_keep_every_byte(client: Anthropic) -> None:
    arguments = '{"b":  1.0, "a": 1e3}'
    messages: Loose = [{"role": "user", "content": f"call weather {arguments}"}]

    raw = client.messages.with_raw_response.create(
        model="echo", max_tokens=100, messages=messages, tools=[WEATHER]
    )
    events = list(ask(client, messages=messages, tools=[WEATHER], stream=True))
    parts = [event.delta.partial_json for event in events if event.type == "content_block_delta"]

    assert arguments in raw.text()
    assert "".join(parts) == arguments


def test_tool_results_are_echoed_and_the_round_trip_counted(client: Anthropic) -> None:
    messages = [
        {"role": "user", "content": "call weather {}"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "12 degrees"}],
        },
    ]

    answer = ask(client, messages=messages, tools=[WEATHER])

    assert answer.content[0].text == "12 degrees"
    # The same sum as for the same conversation in OpenAI's protocol.
    assert answer.usage.input_tokens == 7 + 3 + 2 + 2


def test_an_image_and_a_document_are_described_by_media_type_and_size(client: Anthropic) -> None:
    data = base64.b64encode(b"\x89PNG" * 17).decode()
    blocks = [
        {"type": "text", "text": "Look:"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": data},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
    ]

    answer = ask(client, messages=[{"role": "user", "content": blocks}])

    told = "Look:\n[image/png, 68 bytes]\n[image at https://example.org/x.png]"
    assert answer.content[0].text == told


@pytest.mark.parametrize("answer_of", [ask, final])
def test_thinking_comes_signed_and_only_its_own_signature_is_taken_back(
    client: Anthropic, answer_of: Loose
) -> None:
    answer = answer_of(client, "reasoning")
    thinking, text = answer.content

    assert (thinking.type, thinking.thinking) == ("thinking", "".join(REASONING))
    assert text.text == "Hello there,  world"
    assert answer.usage.output_tokens == len(REASONING) + 3
    turns = [*HELLO, {"role": "assistant", "content": answer.content}, *HELLO]
    assert ask(client, "reasoning", turns).content[1].text == "Hello there,  world"
    thinking.signature = "Zm9yZ2Vk"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        ask(client, "reasoning", turns)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error", "status", "kind"),
    [
        ("server-error", anthropic.InternalServerError, 500, "api_error"),
        ("rate-limited", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("overloaded", anthropic.InternalServerError, 529, "overloaded_error"),
        ("invalid-key", anthropic.AuthenticationError, 401, "authentication_error"),
        ("no-credit", anthropic.APIStatusError, 402, "billing_error"),
        ("not-found", anthropic.NotFoundError, 404, "not_found_error"),
        ("no-such-model", anthropic.NotFoundError, 404, "not_found_error"),
        ("context-length", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("content-filter", anthropic.BadRequestError, 400, "invalid_request_error"),
    ],
)
def test_a_failure_is_the_exception_the_sdk_has_for_it(
    client: Anthropic,
    model: str,
    error: type[anthropic.APIStatusError],
    status: int,
    kind: str,
    stream: bool,
) -> None:
    with pytest.raises(error) as raised:
        ask(client, model, stream=stream)

    assert raised.value.status_code == status
    body: Loose = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == raised.value.request_id


def test_a_prompt_too_long_says_by_how_much(client: Anthropic) -> None:
    assert ask(client, "context-length:3").usage.input_tokens == 3
    with pytest.raises(anthropic.BadRequestError, match="3 tokens > 2 maximum"):
        ask(client, "context-length:2")


def test_an_answer_can_be_withheld_after_it_began(client: Anthropic) -> None:
    answer = final(client, "content-filter:1")

    assert (answer.content[0].text, answer.stop_reason) == ("Hello", "refusal")


@pytest.mark.parametrize(
    ("model", "text"), [("cut-midstream", "Hello there,"), ("cut-midstream:1", "Hello")]
)
def test_a_stream_cut_in_the_middle_raises_after_its_first_words(
    client: Anthropic, model: str, text: str
) -> None:
    events: list[Loose] = []

    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
        read_into(ask(client, model, stream=True), events)

    assert text_of(events) == text
    assert "message_delta" not in {event.type for event in events}


def test_an_answer_shorter_than_its_length_raises(client: Anthropic) -> None:
    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
        ask(client, "cut-midstream")


def test_a_stream_without_its_end_marker_ends_cleanly(client: Anthropic) -> None:
    whole = [event.type for event in ask(client, "no-end-marker", stream=True)]
    part = list(ask(client, "no-end-marker:2", stream=True))

    assert whole[-1] == "message_delta"
    assert (text_of(part), part[-1].type) == ("Hello there,", "content_block_delta")


def test_an_error_event_inside_a_stream_raises(client: Anthropic) -> None:
    events: list[Loose] = []

    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        read_into(ask(client, "error-midstream:1", stream=True), events)

    assert text_of(events) == "Hello"


def test_a_garbled_frame_is_no_event(client: Anthropic) -> None:
    with client.messages.with_streaming_response.create(
        model="garbled", max_tokens=9, messages=HELLO, stream=True
    ) as raw:
        whole = "\n".join(raw.iter_lines())

    assert '"cont\n' in whole
    assert '" there,"' in whole
    assert '"  world"' not in whole
    assert "message_stop" in whole


@pytest.mark.parametrize("stream", [False, True])
def test_silence_runs_into_the_clients_timeout(client: Anthropic, stream: bool) -> None:
    brief = client.with_options(timeout=0.3)

    with pytest.raises((anthropic.APITimeoutError, httpx2.ReadTimeout)):
        ask(brief, "slow-first-byte:5", stream=stream)
    with pytest.raises((anthropic.APITimeoutError, httpx2.ReadTimeout)):
        list(ask(brief, "stall:5", stream=stream))


def test_usage_can_be_missing_or_absurd_and_the_answer_empty(client: Anthropic) -> None:
    assert ask(client, "no-usage").usage is None
    absurd = ask(client, "absurd-usage").usage
    assert (absurd.input_tokens, absurd.output_tokens) == (10**15, -7)
    empty = final(client, "empty")
    assert (empty.content, empty.stop_reason, empty.usage.output_tokens) == ([], "end_turn", 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [{"role": "bishop", "content": "x"}]}, "bishop"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}],
                    }
                ]
            },
            "unexpected `tool_use_id`",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}],
                    },
                    *HELLO,
                ]
            },
            "without `tool_result`",
        ),
    ],
)
def test_a_request_that_anthropic_refuses_is_refused(
    client: Anthropic, body: dict[str, Loose], reason: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=reason):
        client.post(
            "/v1/messages",
            body={"model": "echo", "max_tokens": 9, "messages": HELLO} | body,
            cast_to=anthropic.types.Message,
        )


def test_a_request_without_its_version_is_refused(client: Anthropic) -> None:
    answer = httpx2.post(
        f"{str(client.base_url).rstrip('/')}/v1/messages", json={"model": "echo"}, trust_env=False
    )

    assert answer.status_code == 400
    assert "anthropic-version" in answer.json()["error"]["message"]
