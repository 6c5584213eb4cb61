"""Our events → a client's stream: read back by the official SDK, block by block."""

import json
from typing import Any

import pytest
from anthropic.types.beta import BetaMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from ccapi.core.errors import UpstreamOverloaded
from ccapi.core.usage import Usage
from gateway.ir.events import (
    AudioDelta,
    Event,
    OtherBlock,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.ir.response import StopReason
from gateway.protocols.anthropic import CODEC
from tests.gateway.protocols.anthropic.anthropic_kit import (
    COST_FIELDS,
    TOLD,
    decoded,
    events,
    frames,
    sdk_message,
    told_stream,
    transcript,
    transcripts,
)

STARTED = Started(id="chatcmpl-1", model="gpt")


def begin(index: int, name: str = "f") -> ToolCallStarted:
    return ToolCallStarted(index=index, id=f"call_{index}", name=name)


def more(index: int, arguments: str) -> ToolCallDelta:
    return ToolCallDelta(index=index, arguments=arguments)


def stopped(reason: StopReason = "stop") -> Stopped:
    return Stopped(reason=reason, raw_reason=reason)


def content(*happened: Event) -> list[Any]:
    told = told_stream([STARTED, *happened])
    return [block.to_dict() for block in sdk_message(told).content]


def test_a_stream_begins_and_ends_as_the_sdk_expects_it() -> None:
    usage = Usage(input=5, cache_read=3, cache_write=2, cache_write_1h=1, output=4, reasoning=6)
    told = told_stream([STARTED, TextDelta(text="Hi"), stopped()], usage)

    names = [frame.event for frame in frames(told)]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    first, *_, delta, last = [json.loads(frame.data) for frame in frames(told)]
    assert first["message"]["usage"]["input_tokens"] == 0
    assert first["message"]["id"] == "chatcmpl-1"
    assert first["message"]["model"] == TOLD.model
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 6},
        **COST_FIELDS,
    }
    assert last == {"type": "message_stop"}


def test_costs_are_number_literals_as_given() -> None:
    told = told_stream([STARTED, TextDelta(text="Hi"), stopped()])

    assert b'"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716' in told


def test_an_answer_without_content_is_still_an_answer() -> None:
    answers: list[list[Event]] = [[], [STARTED], [STARTED, stopped()]]
    answers.append([STARTED, TextDelta(text=""), stopped()])
    for happened in answers:
        message = sdk_message(told_stream(happened))
        assert message.content == []
        assert message.stop_reason == "end_turn"


def test_blocks_follow_each_other_as_the_kind_changes() -> None:
    blocks = content(
        ReasoningDelta(text="Hm"),
        ReasoningDelta(text="m."),
        SignatureDelta(signature="sig", signed_by="anthropic"),
        TextDelta(text="A"),
        TextDelta(text="B"),
        begin(0),
        more(0, '{"x":'),
        more(0, "1}"),
        TextDelta(text="C"),
        RefusalDelta(text="D"),
        AudioDelta(data="zz", transcript="E"),
        stopped("tool_calls"),
    )

    assert blocks == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "sig"},
        {"type": "text", "text": "AB"},
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {"x": 1}},
        {"type": "text", "text": "CDE"},
    ]


def test_interleaved_parallel_calls_are_told_one_after_the_other() -> None:
    blocks = content(
        begin(0, "a"),
        begin(1, "b"),
        more(0, '{"city": "Os'),
        more(1, '{"city"'),
        begin(2, "c"),
        more(1, ': "Rome"}'),
        more(0, 'lo"}'),
        more(2, ""),
        stopped("tool_calls"),
    )

    assert [(block["name"], block["input"]) for block in blocks] == [
        ("a", {"city": "Oslo"}),
        ("b", {"city": "Rome"}),
        ("c", {}),
    ]


def test_a_call_goes_out_as_soon_as_those_before_it_are_complete() -> None:
    encoder = CODEC.stream_encoder(decoded(stream=True), TOLD)
    for event in (STARTED, begin(0), more(0, '{"a": {"b": 1}'), begin(1), more(1, '{"c"')):
        held = encoder.encode(event)
    assert held == b""

    out = encoder.encode(more(0, "}"))

    assert b'"partial_json":"}"' in out
    assert b'"name":"f"' in out
    assert b'"partial_json":"{\\"c\\""' in out


def test_text_waits_for_a_call_that_is_not_complete() -> None:
    blocks = content(
        begin(0), more(0, '{"a"'), TextDelta(text="Late"), more(0, ": 1}"), stopped("tool_calls")
    )

    assert [block["type"] for block in blocks] == ["tool_use", "text"]
    assert blocks[0]["input"] == {"a": 1}


def test_thoughts_of_another_protocol_carry_its_signature_under_a_seal() -> None:
    blocks = content(
        ReasoningDelta(text="one"),
        SignatureDelta(signature="abc==", signed_by="gemini"),
        ReasoningDelta(text="two"),
        TextDelta(text="!"),
        stopped(),
    )

    assert blocks[:2] == [
        {"type": "thinking", "thinking": "one", "signature": "ccapi.gemini.abc=="},
        {"type": "thinking", "thinking": "two", "signature": "ccapi.."},
    ]


def test_blocks_of_other_protocols_and_other_choices_are_left_out() -> None:
    assert content(
        OtherBlock(protocol="gemini", kind="x", raw=Raw(b"{}")),
        TextDelta(text="second", choice=1),
        TextDelta(text="first"),
        stopped(),
    ) == [{"type": "text", "text": "first"}]


def test_a_raw_block_with_line_ends_does_not_break_the_frame() -> None:
    raw = Raw(b'{\n "type": "server_tool_use",\r\n "id": "s", "name": "web_search", "input": {}}')

    blocks = content(OtherBlock(protocol="anthropic", kind="server_tool_use", raw=raw), stopped())

    assert blocks == [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]


@pytest.mark.parametrize(
    ("reason", "raw", "calls", "word"),
    [
        ("stop", "stop", False, "end_turn"),
        ("stop", "stop", True, "tool_use"),
        ("tool_calls", "tool_calls", True, "tool_use"),
        ("length", "length", True, "max_tokens"),
        ("length", "model_context_window_exceeded", False, "model_context_window_exceeded"),
        ("content_filter", "SAFETY", False, "refusal"),
        ("refusal", "refusal", False, "refusal"),
        ("pause", "pause_turn", False, "pause_turn"),
        ("stop_sequence", "stop_sequence", False, "stop_sequence"),
        ("other", "MALFORMED", False, "end_turn"),
    ],
)
def test_stop_reasons_in_anthropics_words(
    reason: StopReason, raw: str, *, calls: bool, word: str
) -> None:
    happened: list[Event] = [STARTED, TextDelta(text="x")]
    if calls:
        happened += [begin(0), more(0, "{}")]
    happened.append(Stopped(reason=reason, raw_reason=raw))

    assert sdk_message(told_stream(happened)).stop_reason == word


def test_a_failure_has_its_own_event_and_no_end() -> None:
    encoder = CODEC.stream_encoder(decoded(stream=True), TOLD)
    out = encoder.encode(STARTED) + encoder.encode(TextDelta(text="Half"))

    out += encoder.fail(UpstreamOverloaded("The provider is overloaded."))

    assert frames(out)[-1].event == "error"
    error = json.loads(frames(out)[-1].data)
    assert error["type"] == "error"
    assert error["error"]["type"] == "overloaded_error"
    assert not {"message_delta", "message_stop"} & {frame.event for frame in frames(out)}


@pytest.mark.parametrize("name", [name for name in transcripts() if name != "overloaded"])
def test_a_transcript_means_the_same_to_the_sdk_after_decode_and_encode(name: str) -> None:
    happened = events(transcript(name))
    usage = [event.usage for event in happened if isinstance(event, UsageReported)][-1]

    told, original = sdk_message(told_stream(happened, usage)), sdk_message(transcript(name))

    def said(message: BetaMessage) -> list[Any]:
        # Neighbouring texts are one: their border means nothing to other protocols.
        blocks: list[Any] = []
        for block in [block.to_dict() for block in message.content]:
            if blocks and block["type"] == blocks[-1]["type"] == "text":
                blocks[-1]["text"] += block["text"]
            else:
                blocks.append(block)
        return blocks

    assert said(told) == said(original)
    assert (told.id, told.stop_reason, told.stop_sequence) == (
        original.id,
        original.stop_reason,
        original.stop_sequence,
    )
    if name != "compaction":  # there, what we count is more than the top level tells
        assert told.usage.input_tokens == original.usage.input_tokens
        assert told.usage.output_tokens == original.usage.output_tokens
    assert told.usage.cache_read_input_tokens == original.usage.cache_read_input_tokens


words = st.text(min_size=1, max_size=12)
objects = st.dictionaries(words, words | st.integers() | st.none() | st.lists(words), max_size=3)


@settings(deadline=None)
@given(st.lists(objects, min_size=1, max_size=4), st.data())
def test_calls_interleaved_in_any_way_keep_their_arguments(
    calls: list[dict[str, Any]], data: st.DataObject
) -> None:
    texts = [json.dumps(call, ensure_ascii=data.draw(st.booleans())) for call in calls]
    left = dict(enumerate(texts))
    happened: list[Event] = [STARTED]
    open_: set[int] = set()
    while left:
        # Calls begin in order; after that, fragments come in any order.
        index = data.draw(st.sampled_from([at for at in left if at <= len(open_)]))
        if index not in open_:
            open_.add(index)
            happened.append(begin(index))
        else:
            cut = data.draw(st.integers(1, 30))
            happened.append(more(index, left[index][:cut]))
            left[index] = left[index][cut:]
            if not left[index]:
                del left[index]
    happened.append(stopped("tool_calls"))

    told = told_stream(happened)

    fragments: dict[int, str] = {}
    for frame in frames(told):
        event = json.loads(frame.data)
        if event["type"] == "content_block_delta":
            at = event["index"]
            fragments[at] = fragments.get(at, "") + event["delta"]["partial_json"]
    assert fragments == dict(enumerate(texts))
    assert [block.to_dict()["input"] for block in sdk_message(told).content] == calls


chunks = st.one_of(
    st.builds(TextDelta, text=words),
    st.builds(ReasoningDelta, text=words),
    st.builds(SignatureDelta, signature=words, signed_by=st.just("anthropic")),
)


@settings(deadline=None)
@given(st.lists(chunks, max_size=10))
def test_text_and_thoughts_survive_any_order(happened: list[Event]) -> None:
    told = told_stream([STARTED, *happened, stopped()])

    sdk_message(told)  # every block in order, or the SDK would fail
    again = events(told)
    for kind in (TextDelta, ReasoningDelta):
        assert "".join(e.text for e in again if isinstance(e, kind)) == "".join(
            e.text for e in happened if isinstance(e, kind)
        )
    assert [e for e in again if isinstance(e, SignatureDelta)] == [
        e for e in happened if isinstance(e, SignatureDelta)
    ]
