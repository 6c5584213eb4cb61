"""Recorded exchanges with the real API: nothing is lost or changed, beyond the listed fields.

They are read from the file that `CCAPI_EXCHANGES` names (JSON lines), and are no part of the
project.
"""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types.beta import BetaMessage
from anthropic.types.beta.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from msgspec import Raw
from pydantic import TypeAdapter

from ccapi.core.usage import Usage
from gateway.ir.events import TextDelta, UsageReported
from gateway.ir.request import Message, Request
from gateway.protocols.anthropic import CODEC
from tests.gateway.protocols.anthropic.anthropic_kit import (
    CAPABLE,
    COST_FIELDS,
    COSTS,
    TOLD,
    Json,
    body_of,
    direct_stream,
    events,
    frames,
    plain,
    recorded,
    sdk_message,
    target,
    told_stream,
)

WHOLE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
STREAMED: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)


@pytest.mark.parametrize("exchange", recorded())
def test_a_recorded_request_means_the_same_after_decode_and_encode(exchange: Json) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = CODEC.encode_request(
        request,
        target(upstream_model=request.model, stream=request.stream, capabilities=CAPABLE),
    )

    again = CODEC.decode_request(msgspec.json.decode(sent.body, type=dict[str, Raw]))
    assert plain(_in_turns(again)) == plain(_in_turns(request))
    assert sent.dropped == ()


def _in_turns(request: Request) -> Request:
    """Neighbours of one role joined, as Anthropic itself joins them."""
    turns: list[Message] = []
    for message in request.messages:
        if turns and turns[-1].role == message.role:
            parts = turns[-1].parts + message.parts
            turns[-1] = msgspec.structs.replace(turns[-1], parts=parts)
        else:
            turns.append(message)
    return msgspec.structs.replace(request, messages=tuple(turns))


@pytest.mark.parametrize("exchange", recorded())
def test_a_recorded_request_is_encoded_field_by_field_as_it_was(exchange: Json) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = CODEC.encode_request(
        request,
        target(upstream_model=request.model, stream=request.stream, capabilities=CAPABLE),
    )

    assert _spelled_out(json.loads(sent.body)) == _spelled_out(exchange["request"])


def _spelled_out(request: dict[str, Any]) -> dict[str, Any]:
    """The one long form of what Anthropic lets one say in several ways."""
    request = {"stream": False} | request
    if isinstance(request.get("system"), str):
        request["system"] = [{"type": "text", "text": request["system"]}]
    turns: list[dict[str, Any]] = []
    for holder in request["messages"]:
        _spell_content(holder)
        if turns and turns[-1]["role"] == holder["role"]:
            turns[-1]["content"] += holder["content"]
        else:
            turns.append(holder)
    request["messages"] = turns
    for tool in request.get("tools", []):
        if tool.get("description") == "":
            del tool["description"]
    return request


def _spell_content(holder: dict[str, Any]) -> None:
    if isinstance(holder["content"], str):
        holder["content"] = [{"type": "text", "text": holder["content"]}]
    for block in holder["content"]:
        if block["type"] == "tool_result":
            _spell_content(block)
            block.setdefault("is_error", False)


@pytest.mark.parametrize("exchange", recorded())
def test_what_we_send_validates_against_the_types_of_the_sdk(exchange: Json) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = CODEC.encode_request(request, target(stream=request.stream, capabilities=CAPABLE))

    (STREAMED if request.stream else WHOLE).validate_json(sent.body)


@pytest.mark.parametrize("exchange", recorded())
def test_a_direct_request_differs_in_the_model_alone(exchange: Json) -> None:
    body = body_of(exchange["request"])

    sent = CODEC.direct_request(body, target(upstream_model="other"))

    assert json.loads(sent.body) == exchange["request"] | {"model": "other"}
    for name, raw in msgspec.json.decode(sent.body, type=dict[str, Raw]).items():
        assert name == "model" or raw == body[name]


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_the_sdk_reads_the_same_from_a_direct_answer(exchange: Json) -> None:
    body = exchange["body"].encode()

    told = CODEC.direct_response(body, TOLD, COSTS)

    assert _without_costs(BetaMessage.construct(**json.loads(told)).to_dict()) == (
        BetaMessage.construct(**json.loads(body)).to_dict()
    )
    literals = b',"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716'
    assert told.count(literals) == 1
    assert told.replace(literals, b"") == body


def _without_costs(message: dict[str, Any]) -> dict[str, Any]:
    assert {name: message["usage"].pop(name) for name in COST_FIELDS} == COST_FIELDS
    return message


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_the_sdk_reads_the_same_from_an_answer_decoded_and_encoded(exchange: Json) -> None:
    original = json.loads(exchange["body"])
    response = CODEC.decode_response(exchange["body"].encode())
    assert response.usage is not None

    told = json.loads(CODEC.encode_response(response, TOLD, response.usage, COSTS))

    assert told["model"] == TOLD.model
    assert told["id"] == original["id"]
    for name in ("stop_reason", "stop_sequence"):
        assert told[name] == original[name]
    assert told["content"] == [_without_nulls(block) for block in original["content"]]
    for name, value in told["usage"].items():
        assert value == (original["usage"] | COST_FIELDS)[name]
    BetaMessage.model_validate(told)


def _without_nulls(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "text":
        return {name: value for name, value in block.items() if value}
    return block


@pytest.mark.parametrize("exchange", recorded(stream=True))
def test_a_direct_stream_passes_by_bytes_and_gains_the_costs_alone(exchange: Json) -> None:
    data = exchange["body"].encode()

    told = direct_stream(data)

    literals = b',"input_cost":0.000018,"output_cost":0.0001536,"cost":0.0001716'
    assert told.count(literals) == 1
    # Frames as the parser gives them: blank lines beyond one end no frame, and do not pass.
    assert told.replace(literals, b"") == b"".join(frame.raw for frame in frames(data))
    # The SDK's accumulation takes the counts that it knows from a message_delta, and no others.
    assert sdk_message(told).to_dict() == sdk_message(data).to_dict()


@pytest.mark.parametrize("exchange", recorded(stream=True))
def test_the_sdk_reads_the_same_from_a_stream_decoded_and_encoded(exchange: Json) -> None:
    data = exchange["body"].encode()
    happened = events(data)
    usage = [event.usage for event in happened if isinstance(event, UsageReported)][-1]

    told = sdk_message(told_stream(happened, usage))

    original = sdk_message(data)
    assert _joined(told) == _joined(original)
    assert told.stop_reason == original.stop_reason
    assert told.usage.input_tokens == original.usage.input_tokens
    assert told.usage.output_tokens == original.usage.output_tokens
    text = "".join(event.text for event in happened if isinstance(event, TextDelta))
    assert text == "".join(b.text for b in original.content if b.type == "text")


def _joined(message: BetaMessage) -> list[Any]:
    """Blocks, neighbouring texts as one: their border has no meaning to other protocols."""
    blocks: list[Any] = []
    for block in message.content:
        told = {k: v for k, v in block.to_dict().items() if k not in ("citations", "input")}
        if blocks and told["type"] == blocks[-1]["type"] == "text":
            blocks[-1]["text"] += told["text"]
        else:
            blocks.append(told)
    return [block for block in blocks if block.get("text") != ""]


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_usage_buckets_of_a_recorded_answer_add_up_to_what_was_told(exchange: Json) -> None:
    told = json.loads(exchange["body"])["usage"]

    usage = CODEC.decode_response(exchange["body"].encode()).usage or Usage()

    cached = told["cache_read_input_tokens"] + told["cache_creation_input_tokens"]
    assert usage.input_total == told["input_tokens"] + cached
    assert usage.output_total == told["output_tokens"]
    assert json.loads(bytes(usage.raw)) == told
