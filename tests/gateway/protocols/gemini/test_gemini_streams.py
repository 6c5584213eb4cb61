"""Streams, both ways: whole, cut at every byte, broken off."""

import json
from typing import Any

import pytest

from ccapi.core.errors import UpstreamFailed
from ccapi.core.usage import Usage
from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    OtherBlock,
    ReasoningDelta,
    RedactedReasoningBlock,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.request import Message, Reasoning, RedactedReasoning, Text, ToolCall
from gateway.protocols.base import END_OF_BODY, Frame, GarbledStream
from gateway.protocols.gemini import CODEC
from gateway.transport.sse import SSEParser
from tests.gateway.protocols.gemini.gemini_kit import (
    COST_FIELDS,
    COSTS,
    TOLD,
    Json,
    decoded,
    direct_stream,
    events,
    frames,
    plain,
    said,
    sdk_chunks,
    told_stream,
    transcript,
    transcripts,
)

WHOLE = [name for name in transcripts() if name != "overloaded"]


def usage_of(happened: list[Event]) -> Usage:
    usage = [event.usage for event in happened if isinstance(event, UsageReported)][-1]
    assert usage is not None
    return usage


def kinds(happened: list[Event]) -> list[str]:
    return [type(event).__name__ for event in happened]


@pytest.mark.parametrize("name", transcripts())
def test_a_stream_cut_at_every_byte_gives_the_same_events(name: str) -> None:
    data = transcript(name)
    whole = plain(events(data))

    for cut in range(len(data)):
        parser, decoder = SSEParser(), CODEC.stream_decoder()
        pieces = [*parser.feed(data[:cut]), *parser.feed(data[cut:]), END_OF_BODY]
        assert plain([event for frame in pieces for event in decoder.decode(frame)]) == whole


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_is_complete_only_when_its_body_ended(name: str) -> None:
    decoder = CODEC.stream_decoder()
    happened = [event for frame in frames(transcript(name))[:-1] for event in decoder.decode(frame)]

    assert "Completed" not in kinds(happened)
    assert decoder.decode(END_OF_BODY) == (Completed(),)
    assert decoder.decode(END_OF_BODY) == ()


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_lost_its_last_chunks_never_completes(name: str) -> None:
    pieces = frames(transcript(name))[:-1]
    ends = [at for at, frame in enumerate(pieces) if b'"finishReason"' in frame.data]
    last = ends[-1] if ends else 0

    decoder = CODEC.stream_decoder()
    happened = [event for frame in [*pieces[:last], END_OF_BODY] for event in decoder.decode(frame)]

    assert "Completed" not in kinds(happened)


def test_a_usage_behind_the_last_reason_is_not_lost() -> None:
    happened = events(transcript("usage_after_finish"))

    assert kinds(happened)[-3:] == ["Stopped", "UsageReported", "Completed"]
    assert usage_of(happened).reasoning == 8


def test_thoughts_their_signature_and_calls() -> None:
    happened = events(transcript("parallel_tools"))

    assert happened[1:3] == [
        ReasoningDelta(text="Planning."),
        SignatureDelta(signature="c2lnbmF0dXJlLW9mLXRoZS1jYWxs", signed_by="gemini"),
    ]
    calls = [event for event in happened if isinstance(event, ToolCallStarted)]
    assert [(call.index, call.name) for call in calls] == [
        (0, "get_weather"), (1, "get_weather"), (2, "now")]  # fmt: skip
    assert len({call.id for call in calls}) == 3
    first = next(event for event in happened if isinstance(event, ToolCallDelta))
    assert json.loads(first.arguments) == {"city": "Paris", "note": 'it\'s "cold" <here>'}
    assert Stopped(reason="tool_calls", raw_reason="STOP") in happened


def test_an_id_of_the_providers_is_kept() -> None:
    assert ToolCallStarted(index=0, id="fc-7", name="now") in events(transcript("call_with_id"))


@pytest.mark.parametrize(
    ("name", "reason", "raw"),
    [
        ("text", "stop", "STOP"),
        ("safety", "content_filter", "SAFETY"),
        ("prompt_blocked", "content_filter", "PROHIBITED_CONTENT"),
        ("malformed_call", "other", "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_why_it_ended(name: str, reason: str, raw: str) -> None:
    stopped = [event for event in events(transcript(name)) if isinstance(event, Stopped)]

    assert [(event.reason, event.raw_reason) for event in stopped] == [(reason, raw)]


def test_two_candidates_are_two_choices() -> None:
    happened = events(transcript("two_candidates"))

    texts = [(e.choice, e.text) for e in happened if isinstance(e, TextDelta)]
    assert texts == [(0, "A"), (1, "B"), (0, "a"), (1, "b")]
    stops = [(e.choice, e.reason) for e in happened if isinstance(e, Stopped)]
    assert stops == [(0, "stop"), (1, "length")]


def test_counts_by_modality_stand_in_one_bucket_each() -> None:
    usage = usage_of(events(transcript("cached_audio")))

    assert (usage.input_audio, usage.input_image) == (20, 30)
    assert (usage.cache_read, usage.input) == (50, 20)
    assert usage.total == 123
    pictures = usage_of(events(transcript("image_out")))
    assert (pictures.output, pictures.output_image) == (0, 1290)


def test_tools_of_the_vendor_are_counted_and_pass_raw() -> None:
    happened = events(transcript("code_and_search"))

    blocks = [event.kind for event in happened if isinstance(event, OtherBlock)]
    assert blocks == ["executableCode", "codeExecutionResult"]
    usage = usage_of(happened)
    assert (usage.input, usage.output, usage.web_searches) == (17, 10, 2)


def test_an_error_inside_the_stream_is_a_failure_and_nothing_follows() -> None:
    happened = events(transcript("overloaded"))

    assert isinstance(happened[-1], Failed)
    assert (happened[-1].kind, happened[-1].code) == ("overloaded", "UNAVAILABLE")


@pytest.mark.parametrize(
    "data", [b"not json", b'{"candidates":3}', b"[1]", b'{"responseId":"\xff"}']
)
def test_what_is_no_chunk_is_garbled(data: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.stream_decoder().decode(Frame(raw=data + b"\n\n", data=data))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("alt", ["sse", "json"])
def test_a_direct_stream_gains_the_costs_alone(name: str, alt: str) -> None:
    data = transcript(name)

    told = direct_stream(data, alt=alt)

    chunks = [json.loads(frame.data) for frame in frames(data)[:-1]]
    if alt == "json":
        found = json.loads(told)
    else:
        found = [json.loads(frame.data) for frame in frames(told)[:-1]]
    place = max(at for at, chunk in enumerate(chunks) if "usageMetadata" in chunk)
    chunks[place]["usageMetadata"] |= COST_FIELDS
    assert found == chunks


def test_a_direct_stream_passes_content_at_once() -> None:
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    first, _second, last, _end = frames(transcript("text"))

    assert direct.forward(first, decoder.decode(first)) == first.raw
    assert direct.forward(last, decoder.decode(last)) == b""


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "prompt_blocked"])
def test_the_sdk_reads_the_same_from_a_stream_decoded_and_encoded(name: str) -> None:
    data = transcript(name)
    happened = events(data)

    told = told_stream(happened, usage_of(happened))

    assert said(sdk_chunks(told)) == said(sdk_chunks(data))
    assert told.count(b"\r\n\r\n") == told.count(b"data: ")
    assert told.count(b'"finishReason"') == (2 if name == "two_candidates" else 1)
    usage = json.loads(frames(told)[-2].data)["usageMetadata"]
    assert {field: usage[field] for field in COST_FIELDS} == COST_FIELDS


def test_a_client_without_alt_sse_gets_one_json_array() -> None:
    encoder = CODEC.stream_encoder(decoded(stream=True, alt="json"), TOLD)

    data = told_stream(events(transcript("text")), alt="json")

    assert encoder.content_type.startswith("application/json")
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in json.loads(data)]
    assert "".join(texts) == "Grüße an Ümit\u2019s 北京 🌍."


@pytest.mark.parametrize("alt", ["sse", "json"])
def test_a_broken_stream_never_shows_a_mark_of_success(alt: str) -> None:
    encoder = CODEC.stream_encoder(decoded(stream=True, alt=alt), TOLD)
    happened = events(transcript("text"))

    told = b"".join(map(encoder.encode, happened)) + encoder.fail(UpstreamFailed("Broke off."))

    assert b"finishReason" not in told
    assert b'"status":"UNAVAILABLE"' in told
    if alt == "json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(told)


def test_calls_written_interleaved_come_whole_and_in_order() -> None:
    happened: list[Event] = [
        Started(),
        ToolCallStarted(index=0, id="a", name="f"),
        ToolCallDelta(index=0, arguments='{"x":'),
        ToolCallStarted(index=1, id="b", name="g"),
        ToolCallDelta(index=1, arguments='{"y":"it\'s"}'),
        TextDelta(text="Behind."),
        ToolCallDelta(index=0, arguments="1}"),
        Stopped(reason="tool_calls"),
    ]

    chunks = sdk_chunks(told_stream(happened))

    parts = [
        part
        for chunk in chunks
        for candidate in chunk.candidates or []
        for part in (candidate.content.parts if candidate.content else None) or []
    ]
    calls = [part.function_call for part in parts[:2]]
    assert [(call.id, call.args) for call in calls if call] == [
        ("a", {"x": 1}),
        ("b", {"y": "it's"}),
    ]
    assert parts[2].text == "Behind."
    assert (chunks[-1].candidates or [])[0].finish_reason == "STOP"


def history(data: bytes) -> Message:
    """The answer as a client sends it back: its parts, as they came."""
    parts: list[Json] = []
    for frame in frames(data)[:-1]:
        content: dict[str, Any] = json.loads(frame.data)["candidates"][0]["content"]
        parts += content["parts"]
    return decoded(contents=[{"role": "model", "parts": parts}]).messages[0]


def test_thoughts_signed_elsewhere_survive_a_client_of_gemini() -> None:
    happened: list[Event] = [
        Started(),
        ReasoningDelta(text="Let me "),
        ReasoningDelta(text="see."),
        SignatureDelta(signature="Eo8C+", signed_by="anthropic"),
        SignatureDelta(signature="/==", signed_by="anthropic"),
        RedactedReasoningBlock(data="dark", signed_by="anthropic"),
        TextDelta(text="I ask."),
        ToolCallStarted(index=0, id="toolu_1", name="f"),
        ToolCallDelta(index=0, arguments="{}"),
        Stopped(reason="tool_calls"),
    ]

    parts = history(told_stream(happened)).parts

    assert parts[:3] == (
        Reasoning(text="Let me see.", signature="Eo8C+/==", signed_by="anthropic"),
        RedactedReasoning(data="dark", signed_by="anthropic"),
        Text(text="I ask."),
    )
    assert isinstance(parts[3], ToolCall)
    assert (parts[3].id, parts[3].name, parts[3].arguments) == ("toolu_1", "f", "{}")


def test_geminis_own_signature_survives_decode_and_encode() -> None:
    told = told_stream(events(transcript("parallel_tools")))

    assert history(told).parts[0] == Reasoning(
        text="Planning.", signature="c2lnbmF0dXJlLW9mLXRoZS1jYWxs", signed_by="gemini"
    )
    assert b'"functionCall"' in frames(told)[1].data
    assert b'"thoughtSignature":"c2lnbmF0dXJlLW9mLXRoZS1jYWxs"' in frames(told)[1].data


def test_an_end_without_any_event_is_still_an_end() -> None:
    encoder = CODEC.stream_encoder(decoded(stream=True), TOLD)

    assert b'"finishReason":"STOP"' in encoder.end(Usage(), COSTS)
