"""The direct path: the provider's bytes, with the costs inside `usage` and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccapi.core.errors import UpstreamFailed
from ccapi.core.usage import Usage
from gateway.protocols.anthropic import CODEC
from gateway.protocols.base import Frame
from tests.gateway.protocols.anthropic.anthropic_kit import (
    COST_FIELDS,
    COSTS,
    TOLD,
    decoded,
    direct_stream,
    frames,
    transcript,
    transcripts,
)

ADDED = b'"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716'


@pytest.mark.parametrize("name", [name for name in transcripts() if name != "overloaded"])
def test_a_transcript_passes_byte_by_byte_beside_the_costs(name: str) -> None:
    told = direct_stream(transcript(name))

    assert told.count(b"," + ADDED) == 1
    assert told.replace(b"," + ADDED, b"") == transcript(name)
    (last,) = [json.loads(f.data) for f in frames(told) if f.event == "message_delta"]
    assert last["usage"].items() >= COST_FIELDS.items()


def test_the_end_waits_for_the_charge_and_content_does_not() -> None:
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    for frame in frames(transcript("text")):
        out = direct.forward(frame, decoder.decode(frame))
        held = frame.event in ("message_delta", "message_stop")
        assert out == (b"" if held else frame.raw)

    ending = [frame.event for frame in frames(direct.end(Usage(), COSTS))]
    assert ending == ["message_delta", "message_stop"]


def test_a_usage_that_was_not_the_last_goes_out_as_it_came() -> None:
    data = transcript("text")
    early = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":1}}\n\n'
    at = data.index(b"event: content_block_stop")

    told = direct_stream(data[:at] + early + data[at:])

    assert early in told
    assert told.replace(b"," + ADDED, b"") == data[:at] + early + data[at:]


def test_an_error_event_of_the_provider_is_told_by_us_alone() -> None:
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    out = b""
    for frame in frames(transcript("overloaded")):
        out += direct.forward(frame, decoder.decode(frame))
    assert b"Overloaded" not in out

    out += direct.fail(UpstreamFailed("The provider broke off."))

    assert [frame.event for frame in frames(out)].count("error") == 1
    assert json.loads(frames(out)[-1].data)["error"]["message"] == "The provider broke off."


def test_after_a_failure_what_was_held_is_never_told() -> None:
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    out = b"".join(
        direct.forward(frame, decoder.decode(frame)) for frame in frames(transcript("text"))[:-1]
    )

    out += direct.fail(UpstreamFailed("The provider broke off."))

    assert not {"message_delta", "message_stop"} & {frame.event for frame in frames(out)}


def test_json_over_several_data_lines_gains_the_costs_too() -> None:
    data = b'{"type":"message_delta",\n"usage":{\n"output_tokens":1}}'
    lines = b"".join(b"data: " + line + b"\n" for line in data.split(b"\n"))
    frame = Frame(b"event: message_delta\n" + lines + b"\n", data, "message_delta")
    decoder, direct = CODEC.stream_decoder(), CODEC.direct_stream(decoded(stream=True), TOLD)
    decoder.decode(Frame(b"", b'{"type":"message_start","message":{}}'))

    direct.forward(frame, decoder.decode(frame))

    (told,) = frames(direct.end(Usage(), COSTS))
    assert told.event == "message_delta"
    assert json.loads(told.data)["usage"] == {"output_tokens": 1, **COST_FIELDS}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"usage":{"a":1} , "x":1}', b'{"usage":{"a":1,%s} , "x":1}'),
        (b'{ "usage" : { } }', b'{ "usage" : {%s } }'),
        (b'{"usage":{"a": 1\n }}', b'{"usage":{"a": 1,%s\n }}'),
        (
            b'{"usage":{"a":1},"content":[{"input":{"usage":{"a":1}}}]}',
            b'{"usage":{"a":1,%s},"content":[{"input":{"usage":{"a":1}}}]}',
        ),
        (b'{"x":{},"usage":{},"y":{}}', b'{"x":{},"usage":{%s},"y":{}}'),
        (b'{"x":1}', b'{"x":1,"usage":{%s}}'),
        (b'{"usage":{"cost":9,"a":1.0}}', None),
        (b"not json", b"not json"),
        (b"[1]", b"[1]"),
    ],
)
def test_costs_go_into_the_usage_of_the_top_level(body: bytes, expected: bytes | None) -> None:
    told = CODEC.direct_response(body, TOLD, COSTS)

    if expected is None:  # a provider that tells costs of its own: ours stand
        assert json.loads(told)["usage"] == {"a": 1.0, **COST_FIELDS}
    else:
        assert told == expected.replace(b"%s", ADDED)


trees = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.just({"a": 1}),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("usage"), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["content", "model", "x"]), trees),
    st.dictionaries(st.sampled_from(["a", "output_tokens"]), st.integers(0, 9)),
    st.dictionaries(st.sampled_from(["stop", "y"]), trees),
    st.sampled_from([None, 1]),
)
def test_nothing_but_the_usage_changes_whatever_else_the_body_holds(
    before: dict[str, object], usage: dict[str, int], after: dict[str, object], indent: int | None
) -> None:
    body = json.dumps(before | {"usage": usage} | after, indent=indent).encode()

    told = CODEC.direct_response(body, TOLD, COSTS)

    comma = b"," if usage else b""
    assert told.replace(comma + ADDED, b"", 1) == body
    assert json.loads(told) == before | after | {"usage": usage | COST_FIELDS}
