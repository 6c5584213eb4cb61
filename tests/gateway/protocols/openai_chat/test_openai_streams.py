"""Streams: every vendor's way of writing the same, cut anywhere, and never complete too early."""

import msgspec
import pytest

from ccapi.core.errors import UpstreamFailed
from ccapi.core.usage import Usage
from gateway.ir.events import (
    AudioDelta,
    Completed,
    Event,
    OtherBlock,
    ReasoningDelta,
    RedactedReasoningBlock,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallStarted,
    UsageReported,
    is_content,
)
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import (
    ASKED,
    BROKEN,
    COSTS,
    NAMES,
    TOLD,
    answers_of,
    decoded,
    events_of,
    failures_of,
    frames,
    sdk_stream,
    transcript,
    translated,
    usage_of,
)

WHOLE = sorted(set(NAMES) - BROKEN)


def frame(data: bytes, event: str = "") -> Frame:
    return Frame(b"data: " + data + b"\n\n", data, event)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_in_single_bytes_decodes_like_the_whole(name: str) -> None:
    data = transcript(name)

    in_bytes = [event for _, events in decoded(frames(data, 1)) for event in events]

    assert in_bytes == events_of(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_cut_anywhere_is_complete_only_with_its_end_marker(name: str) -> None:
    data = transcript(name)
    marker = data.rfind(b"data: [DONE]")

    for end in range(len(data)):
        complete = any(isinstance(event, Completed) for event in events_of(data[:end]))
        assert not complete, f"complete after {end} of {len(data)} bytes"
    assert (marker >= 0) == any(isinstance(event, Completed) for event in events_of(data))


def test_line_ends_of_both_kinds_decode_alike() -> None:
    assert events_of(transcript("text_crlf")) == events_of(transcript("text"))


def test_text_arrives_with_its_quotes_newlines_and_a_false_end_marker_within() -> None:
    events = events_of(transcript("text"))

    answer = answers_of(events)[0]
    assert answer.text == 'It\u2019s a "model" — naïve 🙂\n\ndata: [DONE]\nmodelprovider'
    assert answer.stop == "stop"
    assert events[0] == Started(
        id="chatcmpl-BAbCdEfGhIjKlMnOp", model="gpt-4o-mini-2024-07-18", created=1741569952
    )
    assert isinstance(events[-1], Completed)


def test_the_first_chunk_with_a_role_alone_is_no_content() -> None:
    first = decoded(frames(transcript("text")))[0][1]

    assert not any(is_content(event) for event in first)


def test_arguments_of_parallel_tools_are_kept_byte_for_byte() -> None:
    answer = answers_of(events_of(transcript("parallel_tools")))[0]

    written = '{"city":"Bordeaux","note":"it\'s \\"quoted\\" \\u00e9 é"}'
    assert answer.calls == (
        ("call_abc", "get_weather", written),
        ("call_def", "get_time", "{}"),
    )
    assert answer.stop == "tool_calls"


@pytest.mark.parametrize(
    ("name", "thoughts", "text"),
    [
        ("deepseek_reasoning", "Nine point one one is less.", "9.8"),
        ("openrouter_reasoning", "Let me think.", "Hi"),
        ("groq_x_groq", "We", "4"),
        ("xai_finish_usage", "Two", "4"),
        ("mistral_thinking", "Hmm.", "Yes"),
    ],
)
def test_reasoning_is_read_however_a_vendor_spells_it(name: str, thoughts: str, text: str) -> None:
    answer = answers_of(events_of(transcript(name)))[0]

    assert (answer.reasoning, answer.text) == (thoughts, text)


def test_details_of_reasoning_pass_raw_beside_the_text() -> None:
    blocks = [e for e in events_of(transcript("openrouter_reasoning")) if isinstance(e, OtherBlock)]

    assert len(blocks) == 3
    assert b'"signature":"EqQBCgIYAhIM"' in bytes(blocks[2].raw)


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("text", Usage(input=11, cache_read=8, output=10)),
        ("deepseek_reasoning", Usage(input=8, cache_read=10, output=4, reasoning=17)),
        (
            "openrouter_reasoning",
            Usage(input=30, cache_read=4, cache_write=6, output=7, reasoning=5, web_searches=2),
        ),
        ("groq_x_groq", Usage(input=304, output=49)),
        ("xai_finish_usage", Usage(input=5, cache_read=5, output=1, reasoning=200)),
        ("audio", Usage(input=7, input_audio=5, output=10, output_audio=30)),
        ("cumulative_usage", Usage(input=7, output=3)),
        ("gemini_compatible", Usage(input=50, output=20, reasoning=25)),
        ("mistral_thinking", Usage(input=8, cache_read=2, output=4)),
    ],
)
def test_usage_is_normalised_wherever_and_however_it_came(name: str, usage: Usage) -> None:
    told = usage_of(events_of(transcript(name)))

    assert msgspec.structs.replace(told, raw=msgspec.Raw()) == usage
    assert bytes(told.raw).startswith(b"{")


def test_usage_on_every_chunk_is_never_added_up() -> None:
    told = [e for e in events_of(transcript("cumulative_usage")) if isinstance(e, UsageReported)]

    assert [event.usage and event.usage.output for event in told] == [0, 1, 3, 3]


def test_a_refusal_is_no_text() -> None:
    answer = answers_of(events_of(transcript("refusal")))[0]

    assert (answer.text, answer.refusal) == ("", "I'm sorry, I can't.")


def test_two_choices_keep_apart() -> None:
    answers = answers_of(events_of(transcript("two_choices")))

    assert {index: (one.text, one.stop) for index, one in answers.items()} == {
        0: ("Heads", "stop"),
        1: ("She", "length"),
    }


def test_log_probabilities_stay_with_their_text_and_none_is_made_up() -> None:
    texts = [e for e in events_of(transcript("logprobs")) if isinstance(e, TextDelta)]

    assert [event.text for event in texts] == ["Hi", "!"]
    assert all(event.logprobs is not None for event in texts)


def test_audio_comes_as_data_and_transcript() -> None:
    audio = [e for e in events_of(transcript("audio")) if isinstance(e, AudioDelta)]

    assert "".join(event.transcript for event in audio) == "Hello"
    assert [event.data for event in audio] == ["", "UklGRg==", "AAAA"]


def test_a_stop_string_that_a_vendor_names_is_told() -> None:
    stops = [e for e in events_of(transcript("cumulative_usage")) if isinstance(e, Stopped)]

    assert stops == [Stopped(reason="stop_sequence", raw_reason="stop", stop_sequence="###")]


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    answer = answers_of(events_of(transcript("gemini_compatible")))[0]

    assert answer.calls == (
        ("function-call-1", "f", '{"a":1}'),
        ("function-call-2", "f", '{"a":2}'),
    )
    assert answer.stop == "tool_calls"


def test_a_call_without_an_index_continues_the_one_before() -> None:
    decoder = CODEC.stream_decoder()
    started = (
        b'{"id":"1","choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f"}}]}}]}'
    )
    more = b'{"id":"1","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}'

    events = [*decoder.decode(frame(started)), *decoder.decode(frame(more))]

    assert answers_of(events)[0].calls == (("a", "f", "{}"),)


def test_a_stop_that_a_vendor_repeats_is_told_once() -> None:
    stops = [e for e in events_of(transcript("openrouter_reasoning")) if isinstance(e, Stopped)]

    assert len(stops) == 1


def test_a_first_chunk_about_filters_does_not_hide_who_answers() -> None:
    started = [e for e in events_of(transcript("azure_filter_first")) if isinstance(e, Started)]

    assert [event.id for event in started] == ["chatcmpl-BAbCdEfGhIjKlMnOp"]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("groq_error", "invalid", "Tool call validation failed"),
        ("openrouter_error", "server", "Provider disconnected"),
    ],
)
def test_an_error_inside_a_stream_fails_it(name: str, kind: str, message: str) -> None:
    events = events_of(transcript(name))

    failure = failures_of(events)[0]
    assert (failure.kind, failure.message) == (kind, message)
    assert not any(isinstance(event, Completed) for event in events)


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b'{"error":"overloaded"}', ""),
        (b'{"object":"error","message":"out of memory","code":500}', ""),
        (b'{"message":"gone"}', "error"),
        (b'{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}', ""),
        (b'{"choices":[{"index":0,"delta":{},"finish_reason":"network_error"}]}', ""),
        (b'{"id":"1","choices":[],"x_groq":{"error":"boom"}}', ""),
    ],
)
def test_errors_of_other_shapes_fail_a_stream_too(data: bytes, event: str) -> None:
    decoder = CODEC.stream_decoder()

    events = decoder.decode(frame(data, event))

    assert failures_of(events)
    assert decoder.decode(frame(b"[DONE]")) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"[]",
        b"1",
        b'"text"',
        b'{"choices":[',
        b'{"choices":{}}',
        b'{"choices":[{"delta":"x"}]}',
    ],
)
def test_what_is_no_chunk_garbles_the_stream(data: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.stream_decoder().decode(frame(data))


@pytest.mark.parametrize(
    "usage",
    [b'{"prompt_tokens":-1}', b'{"prompt_tokens":1.5}', b'{"prompt_tokens":"9"}', b"[]", b"null"],
)
def test_usage_that_is_none_is_left_out(usage: bytes) -> None:
    events = CODEC.stream_decoder().decode(frame(b'{"id":"1","choices":[],"usage":' + usage + b"}"))

    assert not any(isinstance(event, UsageReported) for event in events)


@pytest.mark.parametrize("name", WHOLE)
def test_encoded_again_a_stream_means_the_same(name: str) -> None:
    events = events_of(transcript(name))

    again = events_of(translated(transcript(name)))

    assert answers_of(again) == answers_of(events)
    assert usage_of(again).input_total == usage_of(events).input_total
    assert usage_of(again).output_total == usage_of(events).output_total
    assert isinstance(again[-1], Completed)


@pytest.mark.parametrize("name", WHOLE)
def test_an_encoded_stream_reads_in_the_sdk_as_openai_would_write_it(name: str) -> None:
    read = sdk_stream(translated(transcript(name)))

    assert read.error == ""
    *chunks, last = read.chunks
    seen: set[int] = set()
    for chunk in chunks:
        (choice,) = chunk["choices"]
        if choice["index"] not in seen:
            assert choice["delta"] == {"role": "assistant", "content": ""}
            seen.add(choice["index"])
        assert "usage" not in chunk
    for chunk in read.chunks:
        assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", TOLD.model)
        assert chunk["provider"] == TOLD.provider
    assert last["choices"] == []
    assert last["usage"]["cost"] == float(COSTS.total)
    assert last["usage"]["total_tokens"] == (
        last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
    )


def test_log_probabilities_and_details_survive_encoding() -> None:
    logprobs = sdk_stream(translated(transcript("logprobs"))).chunks[1]["choices"][0]["logprobs"]
    details = [
        detail
        for chunk in sdk_stream(translated(transcript("openrouter_reasoning"))).chunks
        for choice in chunk["choices"]
        for detail in choice["delta"].get("reasoning_details", [])
    ]

    assert [entry["token"] for entry in logprobs["content"]] == ["Hi"]
    assert [detail.get("signature") for detail in details] == [None, None, "EqQBCgIYAhIM"]


def test_custom_calls_pass_raw() -> None:
    read = sdk_stream(translated(transcript("custom_tool")))

    pieces = [
        call["custom"]["input"]
        for chunk in read.chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    assert pieces == ["", "SELECT 'a'"]


def encode(*events: Event) -> bytes:
    encoder = CODEC.stream_encoder(ASKED, TOLD)
    out = b"".join(encoder.encode(event) for event in events)
    return out + encoder.end(Usage(input=3, output=4), COSTS)


def details_in(stream: bytes) -> list[object]:
    return [
        detail
        for chunk in sdk_stream(stream).chunks
        for choice in chunk["choices"]
        for detail in choice["delta"].get("reasoning_details", [])
    ]


def test_a_foreign_signature_reaches_the_client_with_the_thought_it_signs() -> None:
    stream = encode(
        Started(id="msg_1", model="claude"),
        ReasoningDelta(text="It is "),
        ReasoningDelta(text="so."),
        SignatureDelta(signature="EqQ", signed_by="anthropic"),
        SignatureDelta(signature="B=", signed_by="anthropic"),
        RedactedReasoningBlock(data="AAA", signed_by="anthropic"),
        TextDelta(text="Yes."),
        Stopped(reason="stop", raw_reason="end_turn"),
    )

    assert details_in(stream) == [
        {
            "type": "reasoning.text",
            "text": "It is so.",
            "signature": "EqQB=",
            "format": "ccapi/anthropic",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "AAA", "format": "ccapi/anthropic", "index": 1},
    ]
    assert answers_of(events_of(stream))[0].reasoning == "It is so."


def test_a_signature_right_before_the_end_is_not_lost() -> None:
    stream = encode(ReasoningDelta(text="a"), SignatureDelta(signature="s", signed_by="anthropic"))

    assert len(details_in(stream)) == 1


def test_a_tool_call_opens_with_its_id_and_empty_arguments() -> None:
    stream = encode(ToolCallStarted(index=0, id='c"1', name="naïve"))

    call = sdk_stream(stream).chunks[1]["choices"][0]["delta"]["tool_calls"][0]
    assert call == {
        "index": 0,
        "id": 'c"1',
        "type": "function",
        "function": {"name": "naïve", "arguments": ""},
    }


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("refusal", "content_filter"),
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("length", "length"),
    ],
)
def test_stop_reasons_of_other_protocols_become_openais_words(reason: str, word: str) -> None:
    stop = msgspec.convert({"reason": reason, "raw_reason": "x"}, Stopped)

    finished = sdk_stream(encode(TextDelta(text="a"), stop)).chunks[-2]["choices"][0]

    assert finished["finish_reason"] == word


def test_a_failed_stream_ends_with_the_error_and_without_the_marker() -> None:
    encoder = CODEC.stream_encoder(ASKED, TOLD)
    out = encoder.encode(TextDelta(text="Half"))

    out += encoder.fail(UpstreamFailed("The provider broke off."))

    read = sdk_stream(out)
    assert "The provider broke off." in read.error
    assert b"[DONE]" not in out
    assert b'"code":"upstream_error"' in out
