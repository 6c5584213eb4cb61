"""An upstream's stream → our events: every kind of block, order, and what must never look whole."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.ir.events import (
    CitationDelta,
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
from gateway.protocols.anthropic import CODEC
from gateway.protocols.base import Frame, GarbledStream
from gateway.transport.sse import SSEParser
from tests.gateway.protocols.anthropic.anthropic_kit import (
    events,
    frames,
    plain,
    transcript,
    transcripts,
)


def of(kind: type[Event], name: str) -> list[Any]:
    return [event for event in events(transcript(name)) if isinstance(event, kind)]


def text(name: str) -> str:
    return "".join(event.text for event in of(TextDelta, name))


def arguments(name: str) -> dict[int, str]:
    calls: dict[int, str] = {}
    for event in of(ToolCallDelta, name):
        calls[event.index] = calls.get(event.index, "") + event.arguments
    return calls


def frame(data: dict[str, Any] | bytes) -> Frame:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Frame(b"data: " + raw + b"\n\n", raw)


START = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}}


def test_text() -> None:
    happened = events(transcript("text"))

    assert text("text") == "Hello, wörld 👋\n"
    assert isinstance(happened[0], Started)
    assert happened[0].id == "msg_01Synthetic"
    assert happened[0].usage is not None
    assert happened[0].usage.input == 25
    assert happened[-3] == Stopped(reason="stop", raw_reason="end_turn")
    assert isinstance(happened[-1], Completed)


def test_tool_arguments_are_byte_exact() -> None:
    assert of(ToolCallStarted, "tool_use") == [
        ToolCallStarted(index=0, id="toolu_01A", name="get_weather")
    ]
    assert arguments("tool_use") == {0: '{"city": "Oslo", "note": "it\'s \\"cold\\""}'}
    assert of(Stopped, "tool_use")[0].reason == "tool_calls"


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert arguments("tool_use_empty_input") == {0: "{}"}


def test_arguments_that_came_with_the_start_are_told_once() -> None:
    decoder = CODEC.stream_decoder()
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    happened = [
        event
        for data in (
            START,
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
        )
        for event in decoder.decode(frame(data))
    ]

    assert [e.arguments for e in happened if isinstance(e, ToolCallDelta)] == ['{"a": 1}']


def test_parallel_calls_are_numbered_among_themselves() -> None:
    assert [event.index for event in of(ToolCallStarted, "parallel_tools")] == [0, 1, 2]
    assert arguments("parallel_tools") == {
        0: '{"city":"Oslo"}',
        1: '{"city":"Rome"}',
        2: "{}",
    }


def test_thoughts_with_their_signature() -> None:
    thoughts = "".join(event.text for event in of(ReasoningDelta, "thinking"))

    assert thoughts == "925 is 5 * 185, that is 5² * 37."
    (signature,) = of(SignatureDelta, "thinking")
    assert signature.signed_by == "anthropic"
    assert signature.signature.startswith("EqQBCgIY")
    usage = of(UsageReported, "thinking")[-1].usage
    assert (usage.output, usage.reasoning) == (21, 40)


def test_hidden_thoughts() -> None:
    (hidden,) = of(RedactedReasoningBlock, "redacted_thinking")

    assert hidden.data.startswith("EmwKAhgB")


def test_citations_keep_their_json() -> None:
    (citation,) = of(CitationDelta, "citations")

    assert plain(citation.raw)["cited_text"] == "The grass is green."
    assert text("citations") == "The grass is green indeed."


def test_the_vendors_own_tools_are_whole_blocks_and_their_searches_are_counted() -> None:
    asked, found = of(OtherBlock, "web_search")

    assert plain(asked.raw) == {
        "type": "server_tool_use",
        "id": "srvtoolu_01",
        "name": "web_search",
        "input": {"query": "weather NYC"},
    }
    assert found.kind == "web_search_tool_result"
    assert plain(found.raw)["content"][0]["url"] == "https://example.com/nyc"
    usage = of(UsageReported, "web_search")[-1].usage
    assert (usage.web_searches, usage.input, usage.output) == (1, 10_682, 510)
    assert text("web_search") == "I'll search.Sunny."


def test_a_block_with_deltas_that_only_anthropic_knows_is_put_together() -> None:
    (block,) = of(OtherBlock, "compaction")

    assert plain(block.raw) == {
        "type": "compaction",
        "content": "Summary of it all",
        "encrypted_content": None,
    }
    usage = of(UsageReported, "compaction")[-1].usage
    assert (usage.input, usage.output) == (5100, 709)  # what compaction took is billed too


def test_cached_tokens_stand_in_buckets_of_their_own_and_survive_a_delta_without_them() -> None:
    usage = of(UsageReported, "cache")[-1].usage

    assert (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h) == (
        21,
        188_086,
        288,
        100,
    )
    assert usage.output == 393
    assert plain(usage.raw)["service_tier"] == "standard"


@pytest.mark.parametrize(
    ("name", "reason", "sequence"),
    [
        ("refusal", "refusal", ""),
        ("pause_turn", "pause", ""),
        ("max_tokens", "length", ""),
        ("stop_sequence", "stop_sequence", "3"),
    ],
)
def test_reasons_to_stop(name: str, reason: str, sequence: str) -> None:
    (stopped,) = of(Stopped, name)

    assert (stopped.reason, stopped.stop_sequence) == (reason, sequence)
    assert stopped.raw_reason == name


def test_an_error_event_is_a_failure_and_no_end() -> None:
    happened = events(transcript("overloaded"))

    assert happened[-1] == Failed(kind="overloaded", message="Overloaded", code="overloaded_error")
    assert not any(isinstance(event, Completed) for event in happened)


@pytest.mark.parametrize("name", transcripts())
def test_no_cut_of_a_stream_looks_complete(name: str) -> None:
    data = transcript(name)
    whole = any(isinstance(event, Completed) for event in events(data))

    for cut in range(len(data)):
        parser, decoder = SSEParser(), CODEC.stream_decoder()
        happened = [e for f in parser.feed(data[:cut]) for e in decoder.decode(f)]
        if any(isinstance(event, Completed) for event in happened):
            # The last byte of `\r\n\r\n` may be missing: the blank line stands already.
            assert whole
            assert data[cut:] in (b"\n", b"\r\n")


@pytest.mark.parametrize("name", transcripts())
def test_whole_in_bytes_and_with_other_line_ends_a_stream_says_the_same(name: str) -> None:
    data = transcript(name)
    said = plain(events(data))
    parser, decoder = SSEParser(), CODEC.stream_decoder()

    in_bytes = [
        event
        for at in range(len(data))
        for piece in parser.feed(data[at : at + 1])
        for event in decoder.decode(piece)
    ]

    assert plain(in_bytes) == said
    for end in (b"\r\n", b"\n"):
        other = data.replace(b"\r\n", b"\n").replace(b"\n", end)
        assert plain(events(other)) == said


def test_pings_comments_and_unknown_events_are_passed_over() -> None:
    decoder = CODEC.stream_decoder()
    decoder.decode(frame(START))

    assert decoder.decode(frame({"type": "ping"})) == ()
    assert decoder.decode(Frame(b": hello\n\n", b"")) == ()
    assert decoder.decode(frame({"type": "brand_new", "delta": 5})) == ()
    assert decoder.decode(frame({"type": "brand_new", "index": 1})) == ()


STOP = {"type": "message_stop"}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}


@pytest.mark.parametrize(
    "given_frames",
    [
        [DELTA],
        [STOP],
        [START, START],
        [START, DELTA],
        [START, BLOCK, BLOCK],
        [START, BLOCK, STOP],
        [START, {"type": "content_block_stop", "index": 3}],
        [START, STOP, DELTA],
        [START, STOP, STOP],
        [START, {"type": "content_block_start", "index": 0}],
        [START, {"type": "content_block_start", "index": 0, "content_block": {"type": 1}}],
        [START, BLOCK, {"type": "content_block_delta", "index": 0}],
        [{"type": "message_start"}],
        [START, b'{"type":"content_block_del'],
        [START, b"<html>"],
        [START, b"[1]"],
        [START, b"{}"],
    ],
)
def test_frames_out_of_order_or_garbled_are_told_as_such(given_frames: list[Any]) -> None:
    decoder = CODEC.stream_decoder()
    for data in given_frames[:-1]:
        decoder.decode(frame(data))

    with pytest.raises(GarbledStream):
        decoder.decode(frame(given_frames[-1]))


@pytest.mark.parametrize("tokens", [-1, 1.5, 10**12, "many", None])
def test_absurd_usage_takes_back_what_was_told_before(tokens: object) -> None:
    decoder = CODEC.stream_decoder()
    decoder.decode(frame(START))

    usage = {"output_tokens": tokens} if tokens is not None else []
    happened = decoder.decode(frame({"type": "message_delta", "usage": usage}))

    assert happened == (UsageReported(usage=None),)


def test_an_error_object_without_a_type_is_a_failure() -> None:
    happened = CODEC.stream_decoder().decode(
        frame({"error": {"message": "no", "type": "api_error"}})
    )

    assert happened == (Failed(kind="server", message="no", code="api_error"),)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 7))
def test_noise_is_garbled_or_passed_over_and_never_another_error(noise: bytes, at: int) -> None:
    known = frames(transcript("tool_use"))
    decoder = CODEC.stream_decoder()
    for piece in known[:at]:
        decoder.decode(piece)

    try:
        happened = decoder.decode(Frame(noise, noise))
    except GarbledStream:
        return
    assert not any(isinstance(event, Completed) for event in happened)


@settings(deadline=None)
@example(at=141, byte=48, name="cache")
@given(st.integers(0, 200), st.integers(0, 255), st.sampled_from(transcripts()))
def test_one_wrong_byte_in_a_frame_raises_nothing_but_garbled(
    at: int, byte: int, name: str
) -> None:
    decoder = CODEC.stream_decoder()
    try:
        for piece in frames(transcript(name)):
            data = bytearray(piece.data)
            if data:
                data[at % len(data)] = byte
            decoder.decode(Frame(piece.raw, bytes(data)))
    except GarbledStream:
        pass
