"""Streams of the Responses API: decoded, encoded, forwarded, read by the official SDK."""

import json
from collections.abc import Sequence

import msgspec
import pytest

from ccapi.core.errors import UpstreamOverloaded
from ccapi.core.usage import Usage
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
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.openai_responses import CODEC
from tests.gateway.protocols.openai_responses.responses_wire import (
    ASKED,
    BROKEN,
    NAMES,
    TOLD,
    Answer,
    Loose,
    answer_of,
    answer_of_sdk,
    asked,
    events_of,
    forwarded,
    frames,
    sdk_stream,
    transcript,
    usage_of,
    without_added,
    written,
)

TEXT = "It's 日本語 — fine 🎉."
END: list[Event] = [
    Stopped(reason="stop"),
    UsageReported(usage=Usage(input=7, output=3)),
    Completed(),
]
FINE = [name for name in NAMES if name not in BROKEN]


def data_of(stream: bytes) -> list[Loose]:
    return [json.loads(frame.data) for frame in frames(stream)]


def types_of(stream: bytes) -> list[str]:
    return [data["type"].removeprefix("response.") for data in data_of(stream)]


def test_there_are_transcripts() -> None:
    assert set(NAMES) >= {"text", "custom_tool", "reasoning_and_calls", *BROKEN}


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_cut_at_every_byte_is_the_same(name: str) -> None:
    data = transcript(name)
    whole = events_of(data)

    for size in (1, 2, 3, 5, 64, 1000):
        decoder = CODEC.stream_decoder()
        events = [event for frame in frames(data, size) for event in decoder.decode(frame)]
        assert events == whole


@pytest.mark.parametrize("name", FINE)
def test_a_stream_is_what_the_sdk_reads(name: str) -> None:
    data = transcript(name)

    events = events_of(data)

    assert answer_of(events) == answer_of_sdk(sdk_stream(data).final)
    usage = usage_of(events)
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (24, 16, 7, 5)
    assert isinstance(events[-1], Completed)


@pytest.mark.parametrize("name", FINE)
def test_a_stream_encoded_anew_is_read_by_the_sdk_as_it_was(name: str) -> None:
    data = transcript(name)
    request = asked(tools=[{"type": "custom", "name": "apply_patch"}], stream=True)

    read = sdk_stream(written(events_of(data), request))

    assert read.error == ""
    assert answer_of_sdk(read.final) == answer_of_sdk(sdk_stream(data).final)
    assert read.final["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("name", FINE)
def test_an_encoded_stream_decodes_to_the_same_answer(name: str) -> None:
    events = events_of(transcript(name))
    request = asked(tools=[{"type": "custom", "name": "apply_patch"}], stream=True)

    again = events_of(written(events, request))

    assert answer_of(again) == answer_of(events)
    signed = [event for event in events if isinstance(event, SignatureDelta)]
    assert [event for event in again if isinstance(event, SignatureDelta)] == signed
    others = [event for event in events if isinstance(event, OtherBlock | CitationDelta)]
    assert [event for event in again if isinstance(event, OtherBlock | CitationDelta)] == others


@pytest.mark.parametrize("name", FINE)
def test_events_of_an_encoded_stream_are_numbered_and_placed(name: str) -> None:
    out = data_of(written(events_of(transcript(name))))

    assert [data["sequence_number"] for data in out] == list(range(len(out)))
    begun = [data for data in out if data["type"] == "response.output_item.added"]
    done = [data for data in out if data["type"] == "response.output_item.done"]
    assert [data["output_index"] for data in begun] == list(range(len(begun)))
    assert sorted(data["output_index"] for data in done) == list(range(len(begun)))
    final = out[-1]["response"]
    by_place = sorted(done, key=lambda data: int(data["output_index"]))
    assert final["output"] == [data["item"] for data in by_place]


@pytest.mark.parametrize("name", FINE)
def test_a_stream_passes_directly_but_for_its_costs(name: str) -> None:
    data = transcript(name)

    out = forwarded(data)

    came, passed = frames(data), frames(out)
    assert [frame.raw for frame in passed[:-1]] == [frame.raw for frame in came[:-1]]
    last = json.loads(passed[-1].data)
    assert last["response"]["usage"]["cost"] == 0.0001716
    last["response"] = without_added(last["response"])
    assert last == json.loads(came[-1].data)


def test_a_text_has_the_events_of_the_api() -> None:
    out = written(events_of(transcript("text")))

    assert types_of(out) == types_of(transcript("text"))
    assert [frame.event for frame in frames(out)] == [data["type"] for data in data_of(out)]


def test_calls_and_thoughts_have_the_events_of_the_api() -> None:
    came = types_of(transcript("reasoning_and_calls"))
    # Two parts of a summary become one.
    seam = ["reasoning_summary_text.done", "reasoning_summary_part.done"]
    at = next(at for at in range(len(came)) if came[at : at + 2] == seam)
    expected = came[:at] + came[at + 3 :]

    assert types_of(written(events_of(transcript("reasoning_and_calls")))) == expected


def test_parallel_calls_written_side_by_side_keep_their_arguments() -> None:
    events: Sequence[Event] = [
        Started(),
        TextDelta(text="Two."),
        ToolCallStarted(index=0, id="a", name="f"),
        ToolCallStarted(index=1, id="b", name="g"),
        ToolCallDelta(index=1, arguments='{"y":'),
        ToolCallDelta(index=0, arguments='{"x":1}'),
        ToolCallDelta(index=1, arguments='"it\'s"}'),
        *END,
    ]

    read = sdk_stream(written(events))

    assert read.error == ""
    calls = (("a", "f", '{"x":1}'), ("b", "g", '{"y":"it\'s"}'))
    assert answer_of_sdk(read.final) == Answer("Two.", calls=calls, stop="completed")


def test_a_custom_tools_call_of_another_protocol_becomes_free_text() -> None:
    request = asked(tools=[{"type": "custom", "name": "patch"}], stream=True)
    events: Sequence[Event] = [
        ToolCallStarted(index=0, id="a", name="patch"),
        ToolCallDelta(index=0, arguments='{"input": "it\\'),
        ToolCallDelta(index=0, arguments="n's\"}"),
        *END,
    ]

    out = written(events, request)

    assert sdk_stream(out).final["output"][0] == {
        "id": "ctc_1_0",
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "a",
        "name": "patch",
        "input": "it\n's",
    }
    assert "custom_tool_call_input.delta" in types_of(out)


def test_arguments_that_are_no_input_reach_a_custom_tool_as_they_are() -> None:
    request = asked(tools=[{"type": "custom", "name": "patch"}], stream=True)
    events: Sequence[Event] = [
        ToolCallStarted(index=0, id="a", name="patch"),
        ToolCallDelta(index=0, arguments="*** Begin"),
        *END,
    ]

    read = sdk_stream(written(events, request))

    assert read.final["output"][0]["input"] == "*** Begin"


def test_thoughts_alone_are_a_whole_answer() -> None:
    read = sdk_stream(written([ReasoningDelta(text="Hm."), *END]))

    assert [item["type"] for item in read.final["output"]] == ["reasoning"]
    assert read.final["status"] == "completed"


def test_a_foreign_signature_comes_back_to_its_protocol() -> None:
    events: Sequence[Event] = [
        ReasoningDelta(text="Hm."),
        SignatureDelta(signature="s.1", signed_by="anthropic"),
        RedactedReasoningBlock(data="r.2", signed_by="anthropic"),
        ReasoningDelta(text="Well."),
        TextDelta(text="So."),
        *END,
    ]

    out = written(events)

    read = sdk_stream(out)
    again = asked(read.final["output"])
    [message] = again.messages
    assert [getattr(part, "signed_by", "-") for part in message.parts] == [
        "anthropic",
        "anthropic",
        "",
        "-",
    ]
    assert getattr(message.parts[0], "signature", "") == "s.1"
    assert getattr(message.parts[1], "data", "") == "r.2"
    assert events_of(out)[1:4] == [
        ReasoningDelta(text="Hm."),
        SignatureDelta(signature="s.1", signed_by="anthropic"),
        RedactedReasoningBlock(data="r.2", signed_by="anthropic"),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("failed", "rate_limited", "Slow down"), ("error_event", "overloaded", "overloaded")],
)
def test_a_broken_stream_fails_and_never_completes(name: str, kind: str, words: str) -> None:
    events = events_of(transcript(name))

    assert isinstance(events[-1], Failed)
    assert events[-1].kind == kind
    assert words in events[-1].message
    assert not any(isinstance(event, Completed) for event in events)


def test_a_stream_that_just_ends_is_not_complete() -> None:
    cut = b"".join(frame.raw for frame in frames(transcript("text"))[:-1])

    assert not any(isinstance(event, Completed) for event in events_of(cut))


def test_a_failure_ends_an_encoded_stream_without_a_success_marker() -> None:
    encoder = CODEC.stream_encoder(ASKED, TOLD)
    out = encoder.encode(Started(id="x")) + encoder.encode(TextDelta(text="Half"))

    out += encoder.fail(UpstreamOverloaded("Busy."))

    assert types_of(out)[-2:] == ["error", "failed"]
    told = data_of(out)
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    assert told[-1]["response"]["error"] == {"code": "server_is_overloaded", "message": "Busy."}
    assert told[-1]["response"]["status"] == "failed"
    assert told[-1]["response"]["output"] == []
    assert sdk_stream(out).error == "Busy."


def test_a_failure_on_the_direct_path_goes_on_counting() -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    decoder = CODEC.stream_decoder()
    out = b"".join(
        stream.forward(frame, decoder.decode(frame)) for frame in frames(transcript("failed"))
    )

    out += stream.fail(UpstreamOverloaded("Busy."))

    told = data_of(out)
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    assert told[-1]["response"]["id"] == "resp_0a1"
    assert "Slow down" not in out.decode()
    assert sdk_stream(out).error == "Busy."


def test_what_is_told_only_at_the_end_of_items_is_not_lost() -> None:
    kept = [
        frame
        for frame in frames(transcript("reasoning_and_calls"))
        if "delta" not in frame.event and "arguments" not in frame.event
    ]
    decoder = CODEC.stream_decoder()

    events = [event for frame in kept for event in decoder.decode(frame)]

    assert answer_of(events) == answer_of(events_of(transcript("reasoning_and_calls")))


def test_an_answer_told_only_by_the_final_event_is_not_lost() -> None:
    last = frames(transcript("custom_tool"))[-1]

    events = CODEC.stream_decoder().decode(last)

    assert answer_of(events) == answer_of(events_of(transcript("custom_tool")))


def test_log_probabilities_pass() -> None:
    data = transcript("logprobs")

    again = data_of(written(events_of(data)))

    deltas = [each["logprobs"] for each in again if each["type"].endswith("output_text.delta")]
    came = [each["logprobs"] for each in data_of(data) if each["type"].endswith("text.delta")]
    assert deltas == came
    part = again[-1]["response"]["output"][0]["content"][0]
    assert [token["logprob"] for token in part["logprobs"]] == [-0.25] * 5


def test_unknown_events_and_pings_are_passed_over() -> None:
    decoder = CODEC.stream_decoder()
    strange = b'{"type":"response.audio.delta","delta":{"x":1},"output_index":"?"}'

    assert decoder.decode(Frame(b": ping\n\n", b"")) == ()
    assert decoder.decode(Frame(b"", strange, "response.audio.delta")) == ()
    assert decoder.decode(Frame(b"", b"[DONE]")) == ()


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"nothing", b'{"type":"response.output_text.delta","delta":7}']
)
def test_what_is_no_event_is_garbled(data: bytes) -> None:
    with pytest.raises(GarbledStream):
        CODEC.stream_decoder().decode(Frame(b"", data))


def test_a_final_event_in_several_data_lines_gets_its_costs() -> None:
    came = frames(transcript("text"))
    pretty = msgspec.json.format(came[-1].data, indent=1)
    lines = b"".join(b"data: " + line + b"\n" for line in pretty.split(b"\n"))
    data = b"".join(frame.raw for frame in came[:-1])
    data += b"event: response.completed\n" + lines + b"\n"

    read = sdk_stream(forwarded(data))

    assert read.final["usage"]["cost"] == 0.0001716
    assert answer_of_sdk(read.final).text == TEXT
