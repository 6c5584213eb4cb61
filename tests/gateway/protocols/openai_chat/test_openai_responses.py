"""Whole answers: read from every vendor, told to clients in OpenAI's way, with their costs."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from ccapi.core.usage import Usage
from gateway.ir.request import (
    Audio,
    Media,
    Other,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Response
from gateway.protocols.base import GarbledStream
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import (
    ADDED_TO_USAGE,
    COSTS,
    TOLD,
    UNSTAMPED,
    Loose,
    sdk_completion,
    without_added,
)


def answer(message: Loose = None, finish: str | None = "stop", **more: Loose) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hi"} if message is None else message,
        "logprobs": None,
        "finish_reason": finish,
    }
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1717430400,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice],
        **more,
    }
    return json.dumps(body).encode()


def told(response: Response, usage: Usage | None = None) -> Loose:
    usage = usage or response.usage or Usage()
    return json.loads(CODEC.encode_response(response, TOLD, usage, COSTS))


def parts_of(message: Loose) -> tuple[object, ...]:
    return CODEC.decode_response(answer({"role": "assistant", **message})).choices[0].parts


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "4", "reasoning_content": "2+2"}, (Reasoning(text="2+2"), Text(text="4"))),
        ({"content": "4", "reasoning": "2+2"}, (Reasoning(text="2+2"), Text(text="4"))),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                    {"type": "text", "text": "4"},
                ]
            },
            (Reasoning(text="2+2"), Text(text="4")),
        ),
        ({"content": None, "refusal": "No."}, (Refusal(text="No."),)),
        (
            {
                "content": None,
                "audio": {"id": "a", "data": "UklG", "transcript": "Hi", "expires_at": 5},
            },
            (Audio(source=Media(data="UklG"), transcript="Hi"),),
        ),
        (
            {"content": "", "function_call": {"name": "f", "arguments": "{}"}},
            (ToolCall(id="call_legacy_0", name="f", arguments="{}"),),
        ),
        # Snowflake sends empty ones.
        ({"content": "x", "function_call": {"name": "", "arguments": ""}}, (Text(text="x"),)),
    ],
)
def test_messages_are_read_however_a_vendor_writes_them(
    message: Loose, parts: tuple[object, ...]
) -> None:
    assert parts_of(message) == parts


def test_arguments_stay_byte_for_byte_there_and_back() -> None:
    written = '{"note": "it\'s \\"quoted\\" \\u00e9 é", "n": 1.0}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": written}}

    response = CODEC.decode_response(
        answer({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")
    )

    part = response.choices[0].parts[0]
    assert isinstance(part, ToolCall)
    assert part.arguments == written
    assert told(response)["choices"][0]["message"]["tool_calls"] == [call]


def test_arguments_that_came_as_an_object_become_its_text() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}

    assert parts_of({"tool_calls": [call]}) == (ToolCall(id="c", name="f", arguments='{"a":1}'),)


def test_annotations_stay_with_the_text() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "X"}}

    response = CODEC.decode_response(
        answer({"role": "assistant", "content": "See X", "annotations": [note]})
    )

    assert told(response)["choices"][0]["message"]["annotations"] == [note]


def test_fields_of_the_upstream_stay_and_its_name_does_not() -> None:
    response = CODEC.decode_response(
        answer(system_fingerprint="fp_1", service_tier="default", provider="Azure")
    )

    assert told(response)["system_fingerprint"] == "fp_1"
    assert told(response)["service_tier"] == "default"
    assert told(response)["provider"] == "openai"


@pytest.mark.parametrize(
    ("word", "reason", "again"),
    [
        ("stop", "stop", "stop"),
        ("length", "length", "length"),
        ("content_filter", "content_filter", "content_filter"),
        ("model_length", "length", "length"),
        ("eos", "stop", "stop"),
        ("sensitive", "content_filter", "content_filter"),
        ("wonder", "other", "stop"),
    ],
)
def test_stop_reasons_are_normalised_and_the_word_is_kept(
    word: str, reason: str, again: str
) -> None:
    response = CODEC.decode_response(answer(finish=word))

    assert (response.choices[0].stop, response.choices[0].raw_stop) == (reason, word)
    assert told(response)["choices"][0]["finish_reason"] == again


def test_calls_beside_a_plain_stop_are_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    response = CODEC.decode_response(answer({"content": None, "tool_calls": [call]}, "stop"))

    assert (response.choices[0].stop, response.choices[0].raw_stop) == ("tool_calls", "stop")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[{"index":0}]}',
        b'{"error":{"message":"overloaded"}}',
        b'{"choices":[{"message":{"content":5}}]}',
        answer(finish="error"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.decode_response(body)


def test_usage_is_told_in_openais_way_with_the_costs() -> None:
    usage = Usage(
        input=10,
        cache_read=5,
        cache_write=2,
        cache_write_1h=1,
        input_audio=3,
        output=7,
        reasoning=11,
        output_audio=13,
    )

    body = CODEC.encode_response(CODEC.decode_response(answer()), TOLD, usage, COSTS)

    assert json.loads(body)["usage"] == {
        "prompt_tokens": 21,
        "completion_tokens": 31,
        "total_tokens": 52,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 3, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 11, "audio_tokens": 13},
        "input_cost": 0.000018,
        "output_cost": 0.0001536,
        "cost": 0.0001716,
    }
    assert b'"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716' in body


counts = st.integers(0, 10**6)


@given(
    prompt=counts, cached=counts, written=counts, audio=counts, completion=counts, thought=counts
)
def test_buckets_never_overlap_nor_fall_below_zero(
    prompt: int, cached: int, written: int, audio: int, completion: int, thought: int
) -> None:
    usage = CODEC.decode_response(
        answer(
            usage={
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {
                    "cached_tokens": cached,
                    "cache_write_tokens": written,
                    "audio_tokens": audio,
                },
                "completion_tokens_details": {"reasoning_tokens": thought},
            }
        )
    ).usage

    assert usage is not None
    assert (usage.input_total, usage.output_total) == (prompt, completion)
    assert min(usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning) >= 0
    assert usage.cache_read == min(cached, prompt)


def test_a_foreign_answer_becomes_a_completion_that_the_sdk_validates() -> None:
    response = Response(
        id="msg_1",
        model="claude",
        choices=(
            Choice(
                parts=(
                    Reasoning(text="Hm", signature="Sig", signed_by="anthropic"),
                    RedactedReasoning(data="AA", signed_by="anthropic"),
                    Text(text="See "),
                    Other(protocol="anthropic", kind="server_tool_use", raw=msgspec.Raw(b"{}")),
                    Text(text="this."),
                    ToolCall(id="toolu_1", name="f", arguments="{}"),
                ),
                stop="tool_calls",
                raw_stop="tool_use",
            ),
        ),
    )

    body = told(response, Usage(input=1, output=2))

    completion = ChatCompletion.model_validate(body)
    message = completion.choices[0].message
    assert message.content == "See this."
    assert message.tool_calls is not None
    assert completion.choices[0].finish_reason == "tool_calls"
    assert (completion.id, completion.created) == ("msg_1", TOLD.created)
    assert body["choices"][0]["message"]["reasoning_content"] == "Hm"
    assert [
        (detail["type"], detail["format"])
        for detail in body["choices"][0]["message"]["reasoning_details"]
    ] == [("reasoning.text", "ccapi/anthropic"), ("reasoning.encrypted", "ccapi/anthropic")]


def test_a_client_that_sends_our_answer_back_returns_the_signature() -> None:
    thought = Reasoning(text="Hm", signature="Sig", signed_by="anthropic")
    response = Response(id="1", model="c", choices=(Choice(parts=(thought, Text(text="Yes"))),))
    message = told(response)["choices"][0]["message"]
    asked = {"model": "m", "messages": [{"role": "user", "content": "?"}, message]}

    again = CODEC.decode_request(
        msgspec.json.decode(json.dumps(asked).encode(), type=dict[str, msgspec.Raw])
    )

    assert again.messages[1].parts == (thought, Text(text="Yes"))


def test_the_direct_answer_changes_the_listed_fields_alone() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 9.0, "x": 1.50}
    body = answer(usage=usage, provider="Azure", oddity={"a": [1.0, 2e5]})

    out = CODEC.direct_response(body, TOLD, COSTS)

    assert b'"oddity": {"a": [1.0, 200000.0]}' in out
    assert json.loads(out) == {
        **json.loads(body),
        "model": TOLD.model,
        "provider": TOLD.provider,
        "usage": {**usage, "input_cost": 0.000018, "output_cost": 0.0001536, "cost": 0.0001716},
    }
    assert sdk_completion(out)["model"] == TOLD.model


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n ", " :\t")])
def test_the_direct_answer_keeps_the_bytes_between_its_fields(separators: tuple[str, str]) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    told_usage = {**usage, "input_cost": 0, "output_cost": 0, "cost": 0}
    body = {"choices": [], "model": "x", "provider": "y", "usage": told_usage, "z": {"model": "x"}}
    data = json.dumps(body, separators=separators).encode()

    out = CODEC.direct_response(data, TOLD, COSTS)

    _, colon = separators
    expected = data.decode().replace(f'"model"{colon}"x"', f'"model"{colon}"{TOLD.model}"', 1)
    expected = expected.replace('"y"', f'"{TOLD.provider}"')
    for name, cost in zip(ADDED_TO_USAGE, (COSTS.input, COSTS.output, COSTS.total), strict=True):
        expected = expected.replace(f'"{name}"{colon}0', f'"{name}"{colon}{cost}')
    assert out.decode() == expected


@pytest.mark.parametrize("usage", ["null", None])
def test_an_answer_without_usage_gets_the_costs(usage: str | None) -> None:
    body = answer() if usage is None else answer(usage=None)

    out = json.loads(CODEC.direct_response(body, TOLD, COSTS))

    assert out["usage"] == {"input_cost": 0.000018, "output_cost": 0.0001536, "cost": 0.0001716}


def test_unstamped_the_upstreams_own_words_stand() -> None:
    body = answer(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})

    out = json.loads(CODEC.direct_response(body, UNSTAMPED, COSTS))

    assert out["model"] == "gpt-4o-mini-2024-07-18"
    assert "provider" not in out
    assert without_added(out) == without_added(json.loads(body))
    assert out["usage"]["cost"] == 0.0001716


def test_a_key_that_stands_twice_or_is_written_with_escapes_is_still_replaced() -> None:
    twice = b'{"model":"a","choices":[],"model":"b"}'
    escaped = b'{"mod\\u0065l":"a", "choices":[]}'

    assert json.loads(CODEC.direct_response(twice, TOLD, COSTS))["model"] == TOLD.model
    assert json.loads(CODEC.direct_response(escaped, TOLD, COSTS))["model"] == TOLD.model


texts = st.text(min_size=1, max_size=30)
calls = st.lists(st.tuples(texts, texts, st.text()), max_size=3).map(
    lambda made: tuple(
        ToolCall(id=call_id, name=name, arguments=arguments, index=index)
        for index, (call_id, name, arguments) in enumerate(made)
    )
)


@st.composite
def choices(draw: st.DrawFn, index: int) -> Choice:
    made = draw(calls)
    parts = (
        *([Reasoning(text=draw(texts))] if draw(st.booleans()) else []),
        *([Text(text=draw(texts))] if draw(st.booleans()) else []),
        *([Refusal(text=draw(texts))] if draw(st.booleans()) else []),
        *made,
    )
    stop = "tool_calls" if made else draw(st.sampled_from(["stop", "length", "content_filter"]))
    ended = msgspec.convert({"index": index, "stop": stop, "raw_stop": stop}, Choice)
    return msgspec.structs.replace(ended, parts=parts)


@given(st.integers(1, 3).flatmap(lambda n: st.tuples(*(choices(index) for index in range(n)))))
def test_an_answer_survives_encoding_and_decoding(made: tuple[Choice, ...]) -> None:
    response = Response(id="r", model=TOLD.model, choices=made, created=5)

    body = CODEC.encode_response(response, TOLD, Usage(input=1, output=2), COSTS)

    again = CODEC.decode_response(body)
    assert again.choices == made
    assert (again.id, again.model, again.created) == ("r", TOLD.model, 5)
    assert again.usage is not None
    assert (again.usage.input, again.usage.output) == (1, 2)
