"""The direct path: bytes pass, the listed fields change, and the end waits for the charge."""

import json

import msgspec
import pytest

from ccapi.core.errors import UpstreamFailed
from ccapi.core.usage import Usage
from gateway.protocols.base import Frame, Target
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import (
    ADDED,
    ASKED,
    BROKEN,
    COSTS,
    NAMES,
    TOLD,
    UNSTAMPED,
    Loose,
    body_of,
    decoded,
    forwarded,
    frames,
    sdk_stream,
    target,
    transcript,
    usage_of,
    without_added,
)

WHOLE = sorted(set(NAMES) - BROKEN)


def sent(body: Loose, to: Target | None = None) -> bytes:
    return CODEC.direct_request(body_of(body), to or target("up")).body


def test_a_request_passes_but_for_the_models_name() -> None:
    body = (
        b'{"zz": {"a": [1.0, 2e5, "\\u00e9"]}, "models": ["a"], "model": "x", "temperature": 1.10}'
    )

    out = sent(body)

    assert out == b'{"model":"up","zz":{"a": [1.0, 2e5, "\\u00e9"]},"temperature":1.10}'


def test_streams_ask_for_usage_whatever_the_client_said() -> None:
    to = target("up", stream=True)

    without = json.loads(sent({"model": "x", "stream": True}, to))
    refused = json.loads(
        sent({"stream": True, "stream_options": {"include_usage": False, "x": 1}}, to)
    )

    assert without["stream_options"] == {"include_usage": True}
    assert refused["stream_options"] == {"include_usage": True, "x": 1}
    assert "stream_options" not in json.loads(sent({"model": "x"}))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"max_tokens": 50}),
        ({"max_tokens": None}, {"max_tokens": 50}),
        ({"max_tokens": 90}, {"max_tokens": 90}),
        ({"max_completion_tokens": 90}, {"max_completion_tokens": 90}),
    ],
)
def test_the_wallets_cap_is_set_where_the_client_named_none(body: Loose, expected: Loose) -> None:
    assert json.loads(sent(body, target("up", max_tokens=50))) == {"model": "up", **expected}


def test_our_marks_of_other_protocols_signatures_go_to_no_upstream() -> None:
    ours = {"type": "reasoning.text", "signature": "s", "format": "ccapi/anthropic"}
    theirs = {"type": "reasoning.text", "signature": "t", "format": "anthropic-claude-v1"}
    messages = [
        {"role": "user", "content": 'say "ccapi/x"'},
        {"role": "assistant", "content": "a", "reasoning_details": [ours]},
        {"role": "assistant", "content": "b", "reasoning_details": [ours, theirs]},
    ]

    out = json.loads(sent({"model": "x", "messages": messages}))

    assert out["messages"] == [
        messages[0],
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_details": [theirs]},
    ]


@pytest.mark.parametrize("name", WHOLE)
def test_the_sdk_reads_the_same_as_from_the_upstream_itself(name: str) -> None:
    original = sdk_stream(transcript(name))
    through = sdk_stream(forwarded(transcript(name)))

    *chunks, last = through.chunks
    upstream = original.chunks
    if not upstream[-1]["choices"]:
        *upstream, told = upstream
        assert without_added(last) == without_added(told)
    assert [without_added(chunk) for chunk in chunks] == [
        without_added(chunk) for chunk in upstream
    ]
    assert all((c["model"], c["provider"]) == (TOLD.model, TOLD.provider) for c in through.chunks)
    assert last["choices"] == []
    assert last["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("name", WHOLE)
def test_each_frame_passes_byte_for_byte_but_for_two_fields(name: str) -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)

    for frame, events in decoded(frames(transcript(name))):
        out = stream.forward(frame, events)
        if not out:
            continue
        top = json.loads(frame.data)
        expected = frame.raw
        for field, value in zip(ADDED, (TOLD.model, TOLD.provider), strict=True):
            if field in top:
                old = f'"{field}":{json.dumps(top[field])}'.encode()
                # The last one where the model stands behind the choices.
                assert expected.count(old) == 1
                expected = expected.replace(old, f'"{field}":{json.dumps(value)}'.encode())
        if "provider" not in top:
            model = f'"model":"{TOLD.model}"'.encode()
            expected = expected.replace(model, model + b',"provider":"openai"')
        assert out == expected


@pytest.mark.parametrize("name", WHOLE)
def test_unstamped_frames_pass_untouched_and_usage_alone_gains_the_costs(name: str) -> None:
    stream = CODEC.direct_stream(ASKED, UNSTAMPED)
    pairs = decoded(frames(transcript(name)))

    passed = [(frame.raw, stream.forward(frame, events)) for frame, events in pairs]
    end = stream.end(usage_of([e for _, events in pairs for e in events]), COSTS)

    assert all(out in (b"", raw) for raw, out in passed)
    last = sdk_stream(end).chunks[0]
    assert "provider" not in last
    assert last["usage"]["input_cost"] == 0.000018
    assert last["model"] == json.loads(pairs[-2][0].data)["model"]
    assert end.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_end_marker_waits_for_the_charge(name: str) -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)

    out = b"".join(
        stream.forward(frame, events) for frame, events in decoded(frames(transcript(name)))
    )

    assert b"data: [DONE]\n\n" not in out
    assert b"cost" not in out.replace(b'"cost":0.0003', b"")


def test_the_upstreams_usage_chunk_keeps_its_other_fields() -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    usage = b'{"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "odd": [1.0]}'
    data = b'{"id": "1", "model": "x", "choices": [], "usage": ' + usage + b', "obfuscation": "zz"}'
    frame = Frame(b"data: " + data + b"\n\n", data)

    held = stream.forward(frame, CODEC.stream_decoder().decode(frame))
    end = stream.end(Usage(input=1, output=2), COSTS)

    assert held == b""
    assert end == (
        b'data: {"id": "1", "model": "openai/gpt-4o-mini","provider":"openai", "choices": [],'
        b' "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,'
        b'"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716, "odd": [1.0]},'
        b' "obfuscation": "zz"}\n\ndata: [DONE]\n\n'
    )


def test_a_field_named_like_ours_within_the_answer_is_left_alone() -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    decoder = CODEC.stream_decoder()
    head = b'{"id":"1","model":"x","choices":[{"index":0,"delta":{"content":"'
    first = head + b'a"}}]}'
    nested = head + b'model"},"extra":{"model":"x","provider":"p"}}]}'
    twice = head + b'b"}}],"provider":"Azure"}'
    outs = []

    for data in (first, nested, twice, first):
        frame = Frame(b"data: " + data + b"\n\n", data)
        outs.append(stream.forward(frame, decoder.decode(frame)))

    stamped = b'"model":"openai/gpt-4o-mini","provider":"openai"'
    assert outs[1] == b"data: " + nested.replace(b'"model":"x"', stamped, 1) + b"\n\n"
    assert json.loads(outs[2][6:])["provider"] == "openai"
    assert outs[2].count(b"provider") == 1
    assert outs[3] == outs[0] == b"data: " + first.replace(b'"model":"x"', stamped) + b"\n\n"


def test_frames_of_several_lines_become_one() -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    (frame,) = frames(
        b'data: {"id":"1","model":"x",\ndata: "choices":[{"delta":{"content":"a"}}]}\n\n'
    )

    out = stream.forward(frame, CODEC.stream_decoder().decode(frame))

    assert out == (
        b'data: {"id":"1","model":"openai/gpt-4o-mini","provider":"openai",'
        b'"choices":[{"delta":{"content":"a"}}]}\n\n'
    )


def test_a_chunk_without_a_model_gets_one() -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    (frame,) = frames(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')

    chunk = json.loads(stream.forward(frame, CODEC.stream_decoder().decode(frame))[6:])

    assert (chunk["model"], chunk["provider"]) == (TOLD.model, TOLD.provider)


def test_comments_and_whatever_follows_the_end_marker_are_dropped() -> None:
    out = forwarded(b": ping\n\n" + transcript("text") + b'data: {"choices":[]}\n\n')

    assert out == forwarded(transcript("text"))


def test_a_stream_without_usage_ends_with_ours() -> None:
    data = b'data: {"id":"7","created":9,"model":"x","choices":[]}\n\ndata: [DONE]\n\n'

    last = sdk_stream(forwarded(data)).chunks[-1]

    assert (last["id"], last["created"], last["model"]) == ("7", 9, TOLD.model)
    assert last["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_stream_ends_with_our_error_alone(name: str) -> None:
    stream = CODEC.direct_stream(ASKED, TOLD)
    out = b"".join(
        stream.forward(frame, events) for frame, events in decoded(frames(transcript(name)))
    )

    out += stream.fail(UpstreamFailed("The provider broke off."))

    read = sdk_stream(out)
    assert "The provider broke off." in read.error
    assert b"[DONE]" not in out
    assert b"Provider disconnected" not in out
    assert read.chunks


def test_a_stream_without_stamp_of_its_own_head_is_forwarded_alike_in_any_cut() -> None:
    whole = forwarded(transcript("parallel_tools"))
    stream = CODEC.direct_stream(ASKED, TOLD)
    pairs = decoded(frames(transcript("parallel_tools"), 7))

    out = b"".join(stream.forward(frame, events) for frame, events in pairs)

    assert whole.startswith(out)
    assert msgspec.json.decode(whole.split(b"\n\n")[0][6:])["model"] == TOLD.model
