"""Recorded exchanges: what OpenAI's SDK sees through us is what it sees without us."""

import json

import msgspec
import pytest
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from gateway.ir.events import Completed
from gateway.ir.request import Part, Reasoning, Refusal, Text, ToolCall
from gateway.ir.response import Response
from gateway.protocols.base import GarbledStream, Target
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import (
    COSTS,
    TOLD,
    Loose,
    answers_of,
    body_of,
    decoded,
    events_of,
    failures_of,
    forwarded,
    frames,
    recorded,
    sdk_completion,
    sdk_stream,
    translated,
    usage_of,
    without_added,
)

pytestmark = pytest.mark.skipif(
    not recorded(), reason="CCAPI_EXCHANGES names no file of recorded exchanges"
)

EXCHANGES = recorded()
WHOLE = [
    pytest.param(exchange, id=exchange["id"])
    for exchange in EXCHANGES
    if not exchange["stream"] and "json" in exchange["content_type"]
]
STREAMS = [
    pytest.param(exchange, id=exchange["id"]) for exchange in EXCHANGES if exchange["stream"]
]
ALL = [pytest.param(exchange, id=exchange["id"]) for exchange in EXCHANGES]

# Fields of vendors beyond OpenAI's own types: taken out before these types judge.
VENDOR_PARTS = {"document_url", "video_url", "thinking"}
REQUEST = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)


def upstream(exchange: Loose) -> Target:
    return Target(
        upstream_model=exchange["request"]["model"],
        stream=exchange["stream"],
        capabilities=frozenset({"reasoning"}),
    )


@pytest.mark.parametrize("exchange", ALL)
def test_a_request_means_the_same_after_decoding_and_encoding(exchange: Loose) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = CODEC.encode_request(request, upstream(exchange))

    again = CODEC.decode_request(body_of(sent.body))
    assert msgspec.structs.replace(again, include_usage=request.include_usage) == request
    assert sent.dropped == ()
    told = json.loads(sent.body)
    for name, value in exchange["request"].items():
        if name in ("messages", "tools", "stream_options") or value in (None, False, 1, []):
            continue
        assert told[name] == value, name


@pytest.mark.parametrize("exchange", ALL)
def test_an_encoded_request_is_valid_by_the_types_of_the_sdk(exchange: Loose) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = json.loads(CODEC.encode_request(request, upstream(exchange)).body)

    sent["stream"] = False
    known = {
        name: sent[name] for name in ("model", "messages", "tools", "tool_choice") if name in sent
    }
    if known.get("tool_choice") == "any":  # Mistral's word, sent as the client wrote it
        del known["tool_choice"]
    known["tools"] = [tool for tool in known.get("tools", []) if tool["type"] == "function"]
    for message in known["messages"]:
        if isinstance(message.get("content"), list):
            message["content"] = [
                part for part in message["content"] if part["type"] not in VENDOR_PARTS
            ]
    REQUEST.validate_python(known)


@pytest.mark.parametrize("exchange", ALL)
def test_a_request_passes_directly_but_for_the_models_name(exchange: Loose) -> None:
    body = {**exchange["request"], "model": "ours/name", "models": ["a"]}

    sent = json.loads(CODEC.direct_request(body_of(body), upstream(exchange)).body)

    expected = dict(exchange["request"])
    if exchange["stream"]:
        expected["stream_options"] = {**expected.get("stream_options", {}), "include_usage": True}
    assert sent == expected


def contents(response: Response) -> list[list[Part]]:
    kinds = (Text, Reasoning, Refusal, ToolCall)
    return [[part for part in one.parts if isinstance(part, kinds)] for one in response.choices]


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_direct_answer_differs_in_the_listed_fields_alone(exchange: Loose) -> None:
    body = exchange["body"].encode()

    out = CODEC.direct_response(body, TOLD, COSTS)

    through, original = sdk_completion(out), sdk_completion(body)
    assert without_added(through) == without_added(original)
    assert (through["model"], through["provider"]) == (TOLD.model, TOLD.provider)
    assert through["usage"]["cost"] == 0.0001716
    assert _cut(out) == _cut(body)


def _cut(body: bytes) -> bytes:
    """The raw bytes of everything but the listed fields."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    usage = msgspec.json.decode(fields["usage"], type=dict[str, msgspec.Raw])
    for name in ("input_cost", "output_cost", "cost"):
        usage.pop(name, None)
    for name in ("model", "provider"):
        fields.pop(name, None)
    return msgspec.json.encode({**fields, "usage": usage})


@pytest.mark.parametrize("exchange", WHOLE)
def test_an_answer_means_the_same_after_decoding_and_encoding(exchange: Loose) -> None:
    response = CODEC.decode_response(exchange["body"].encode())
    assert response.usage is not None

    out = CODEC.encode_response(response, TOLD, response.usage, COSTS)

    again = CODEC.decode_response(out)
    assert contents(again) == contents(response)
    # Snowflake says no reason at all, which OpenAI's type does not allow.
    assert [one.stop for one in again.choices] == [one.stop or "stop" for one in response.choices]
    through, original = sdk_completion(out), sdk_completion(exchange["body"].encode())
    for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert through["usage"][count] == original["usage"][count]
    for ours, theirs in zip(through["choices"], original["choices"], strict=True):
        assert ours["finish_reason"] == (theirs.get("finish_reason") or "stop")
        said = theirs["message"].get("content")
        if isinstance(said, str):
            assert (ours["message"]["content"] or "") == said
        calls = [(call["id"], call["function"]) for call in ours["message"].get("tool_calls") or []]
        assert calls == [
            (call["id"], call["function"]) for call in theirs["message"].get("tool_calls") or []
        ]


def test_what_was_recorded_as_plain_text_is_no_answer() -> None:
    texts = [exchange for exchange in EXCHANGES if exchange["content_type"] == "text/plain"]

    for exchange in texts:
        with pytest.raises(GarbledStream):
            CODEC.decode_response(exchange["body"].encode())
    assert texts


@pytest.mark.parametrize("exchange", STREAMS)
def test_the_sdk_reads_a_stream_through_us_as_it_came(exchange: Loose) -> None:
    body = exchange["body"].encode()

    original, through = sdk_stream(body), sdk_stream(forwarded(body))

    if original.error:
        assert failures_of(events_of(body))
        assert [without_added(c) for c in through.chunks] == [
            without_added(c) for c in original.chunks
        ]
        return
    *chunks, last = through.chunks
    upstream_chunks = original.chunks
    if not upstream_chunks[-1]["choices"]:
        *upstream_chunks, told = upstream_chunks
        assert without_added(last) == without_added(told)
    assert [without_added(c) for c in chunks] == [without_added(c) for c in upstream_chunks]
    assert last["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_means_the_same_after_decoding_and_encoding(exchange: Loose) -> None:
    body = exchange["body"].encode()
    events = events_of(body)

    again = events_of(translated(body))

    assert answers_of(again) == answers_of(events)
    assert usage_of(again).total == usage_of(events).total


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_decodes_alike_in_pieces_and_with_other_line_ends(
    exchange: Loose,
) -> None:
    body = exchange["body"].encode()
    whole = events_of(body)

    in_bytes = [event for _, events in decoded(frames(body, 1)) for event in events]
    other_ends = events_of(body.replace(b"\n", b"\r\n"))

    assert in_bytes == whole
    assert other_ends == whole


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_cut_anywhere_is_never_complete(exchange: Loose) -> None:
    body = exchange["body"].encode()
    marker = body.rfind(b"data: [DONE]")
    end = len(body) if marker < 0 else marker + len(b"data: [DONE]")

    # What decodes before a cut is the same whatever the cut: one pass in single bytes tells all.
    seen = [event for _, events in decoded(frames(body[:end], 1)) for event in events]

    assert not any(isinstance(event, Completed) for event in seen)
    assert (marker >= 0) == any(isinstance(event, Completed) for event in events_of(body))
