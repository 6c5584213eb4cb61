"""Recorded exchanges with the real API: nothing is lost or changed, beyond the listed fields.

They are read from the file that `CCAPI_EXCHANGES` names (JSON lines), and are no part of the
project.
"""

import json
from typing import Any

import msgspec
import pytest
from google.genai import types
from msgspec import Raw

from ccapi.core.usage import Usage
from gateway.ir.events import UsageReported
from gateway.ir.request import Message, Part, Request, ToolCall
from gateway.protocols.base import END_OF_BODY
from gateway.protocols.gemini import CODEC
from gateway.transport.sse import SSEParser
from tests.gateway.protocols.gemini.gemini_kit import (
    COST_FIELDS,
    COSTS,
    LITERALS,
    TOLD,
    Json,
    asked_of,
    body_of,
    direct_stream,
    events,
    frames,
    plain,
    read_by_sdk,
    recorded,
    said,
    sdk_chunks,
    target,
    told_stream,
)


@pytest.mark.parametrize("exchange", recorded())
def test_a_recorded_request_means_the_same_after_decode_and_encode(exchange: Json) -> None:
    asked = asked_of(exchange)
    request = CODEC.decode_request(body_of(asked))

    sent = CODEC.encode_request(
        request, target(upstream_model=request.model, stream=request.stream)
    )

    outside = {"model": request.model, "stream": request.stream}
    again = CODEC.decode_request(body_of(json.loads(sent.body) | outside))
    assert plain(in_turns(again)) == plain(in_turns(request))
    assert sent.dropped == ()


def in_turns(request: Request) -> Request:
    """Neighbours of one role joined, their calls counted through."""
    turns: list[Message] = []
    for message in request.messages:
        parts = message.parts
        if turns and turns[-1].role == message.role:
            parts = turns.pop().parts + parts
        turns.append(msgspec.structs.replace(message, parts=_numbered(parts)))
    return msgspec.structs.replace(request, messages=tuple(turns))


def _numbered(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return tuple(
        msgspec.structs.replace(part, index=calls.index(part))
        if isinstance(part, ToolCall)
        else part
        for part in parts
    )


@pytest.mark.parametrize("exchange", recorded())
def test_what_we_send_validates_against_the_types_of_the_sdk(exchange: Json) -> None:
    request = CODEC.decode_request(body_of(asked_of(exchange)))

    sent = json.loads(CODEC.encode_request(request, target(stream=request.stream)).body)

    validate(sent)


def validate(body: dict[str, Any]) -> None:
    """By the SDK's own types, which forbid what they do not know."""
    rest = dict(body)
    for content in rest.pop("contents"):
        types.Content.model_validate(content)
    for tool in rest.pop("tools", []):
        types.Tool.model_validate(tool)
    if "systemInstruction" in rest:
        types.Content.model_validate(rest.pop("systemInstruction"))
    if "toolConfig" in rest:
        types.ToolConfig.model_validate(rest.pop("toolConfig"))
    types.GenerationConfig.model_validate(rest.pop("generationConfig", {}))
    assert rest.keys() <= {"safetySettings", "labels", "cachedContent"}


@pytest.mark.parametrize("exchange", recorded())
def test_a_direct_request_passes_as_it_came(exchange: Json) -> None:
    body = body_of(asked_of(exchange))

    sent = CODEC.direct_request(body, target(upstream_model="gemini-2.5-x"))

    assert sent.path == "/models/gemini-2.5-x:generateContent"
    assert json.loads(sent.body) == exchange["request"]
    for name, raw in msgspec.json.decode(sent.body, type=dict[str, Raw]).items():
        assert raw == body[name]


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_a_direct_answer_gains_the_costs_alone(exchange: Json) -> None:
    body = exchange["body"].encode()

    told = CODEC.direct_response(body, TOLD, COSTS)

    assert told.count(b"," + LITERALS) == 1
    without = told.replace(b"," + LITERALS, b"")
    assert without in (body, msgspec.json.format(body, indent=-1))
    assert read_by_sdk(told).model_dump() == read_by_sdk(body).model_dump()


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_the_sdk_reads_the_same_from_an_answer_decoded_and_encoded(exchange: Json) -> None:
    original = read_by_sdk(exchange["body"].encode())
    response = CODEC.decode_response(exchange["body"].encode())
    assert response.usage is not None

    data = CODEC.encode_response(response, TOLD, response.usage, COSTS)

    told = read_by_sdk(data)
    assert said([told]) == said([original])
    assert signatures([told]) == signatures([original])
    assert told.response_id == original.response_id
    counts(told.usage_metadata, original.usage_metadata)
    usage = json.loads(data)["usageMetadata"]
    assert {name: usage[name] for name in COST_FIELDS} == COST_FIELDS


def signatures(chunks: list[types.GenerateContentResponse]) -> list[bytes]:
    return [
        part.thought_signature
        for chunk in chunks
        for candidate in chunk.candidates or []
        for part in (candidate.content.parts if candidate.content else None) or []
        if part.thought_signature
    ]


def counts(told: Any, original: Any) -> None:  # noqa: ANN401 - the SDK's types are optional all over
    """Tokens put in by server-side tools have no bucket of their own: they count as prompt."""
    by_tools = original.tool_use_prompt_token_count or 0
    assert told.prompt_token_count == (original.prompt_token_count or 0) + by_tools
    assert told.candidates_token_count == (original.candidates_token_count or 0)
    assert (told.thoughts_token_count or 0) == (original.thoughts_token_count or 0)
    assert (told.cached_content_token_count or 0) == (original.cached_content_token_count or 0)
    assert told.total_token_count == original.total_token_count


@pytest.mark.parametrize("exchange", recorded(stream=True))
def test_a_direct_stream_passes_by_bytes_and_gains_the_costs_alone(exchange: Json) -> None:
    data = exchange["body"].encode()

    told = direct_stream(data)

    assert told.count(b"," + LITERALS) == 1
    assert told.replace(b"," + LITERALS, b"") == b"".join(frame.raw for frame in frames(data))


@pytest.mark.parametrize("exchange", recorded(stream=True))
def test_the_sdk_reads_the_same_from_a_stream_decoded_and_encoded(exchange: Json) -> None:
    data = exchange["body"].encode()
    happened = events(data)
    usage = [event.usage for event in happened if isinstance(event, UsageReported)][-1]

    told = sdk_chunks(told_stream(happened, usage))

    original = sdk_chunks(data)
    assert said(told) == said(original)
    assert signatures(told) == signatures(original)
    counts(told[-1].usage_metadata, original[-1].usage_metadata)


@pytest.mark.parametrize("exchange", recorded(stream=True))
def test_a_recorded_stream_cut_at_every_byte_gives_the_same_events(exchange: Json) -> None:
    data = exchange["body"].encode()
    whole = plain(events(data))

    assert cut_in_steps(data, 1) == whole
    assert cut_in_steps(data, 7) == whole


def cut_in_steps(data: bytes, step: int) -> Json:

    parser, decoder = SSEParser(), CODEC.stream_decoder()
    happened: list[Any] = []
    for at in range(0, len(data), step):
        for frame in parser.feed(data[at : at + step]):
            happened += decoder.decode(frame)
    return plain([*happened, *decoder.decode(END_OF_BODY)])


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_usage_buckets_of_a_recorded_answer_add_up_to_what_was_told(exchange: Json) -> None:
    told = json.loads(exchange["body"])["usageMetadata"]

    usage = CODEC.decode_response(exchange["body"].encode()).usage or Usage()

    by_tools = told.get("toolUsePromptTokenCount", 0)
    assert usage.input_total == told["promptTokenCount"] + by_tools
    assert usage.total == told["totalTokenCount"]
    assert usage.reasoning == told.get("thoughtsTokenCount", 0)
    assert json.loads(bytes(usage.raw)) == told
