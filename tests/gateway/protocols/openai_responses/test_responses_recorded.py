"""Recorded exchanges: what OpenAI's SDK sees through us is what it sees without us."""

import json

import msgspec
import pytest
from openai.types.responses import Response as SDKResponse
from openai.types.responses import response_create_params
from pydantic import TypeAdapter

from ccapi.core.errors import UnsupportedParameter
from ccapi.core.usage import Usage
from gateway.ir.events import Completed
from gateway.ir.request import Other
from gateway.protocols.base import GarbledStream, Target
from gateway.protocols.openai_responses import CODEC
from tests.gateway.protocols.openai_responses.responses_wire import (
    COSTS,
    TOLD,
    Loose,
    answer_of,
    answer_of_parts,
    answer_of_sdk,
    body_of,
    decoded,
    events_of,
    forwarded,
    frames,
    recorded,
    sdk_response,
    sdk_stream,
    usage_of,
    without_added,
    written,
)

pytestmark = pytest.mark.skipif(
    not recorded(), reason="CCAPI_EXCHANGES names no file of recorded exchanges"
)


def params(exchanges: list[Loose]) -> list[Loose]:
    return [pytest.param(exchange, id=exchange["id"]) for exchange in exchanges]


KEPT = ("previous_response_id", "conversation")
EXCHANGES = recorded()
REFERRING = [each for each in EXCHANGES if any(each["request"].get(name) for name in KEPT)]
OWN = [
    each for each in EXCHANGES if each not in REFERRING and not each["request"].get("background")
]
ALL = params([each for each in EXCHANGES if not each["request"].get("background")])
BACKGROUND = [
    each for each in EXCHANGES if each["request"].get("background") and not each["stream"]
]
FINE = [each for each in EXCHANGES if each["status"] == 200 and each not in BACKGROUND]
WHOLE = params([each for each in FINE if not each["stream"]])
STREAMS = params([each for each in FINE if each["stream"]])
ERRORS = params([each for each in EXCHANGES if each["status"] != 200])

REQUEST = TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming)
# Fields whose parts are told apart, or to which the codec adds.
SPLIT = ("text", "reasoning", "input", "instructions", "tools", "include", "store", "tool_choice")


def upstream(exchange: Loose) -> Target:
    return Target(upstream_model=exchange["request"]["model"], stream=exchange["stream"])


def counted(usage: Usage) -> tuple[int, int, int, int]:
    return (usage.input_total, usage.cache_read, usage.output_total, usage.reasoning)


def counted_by_sdk(response: Loose) -> tuple[int, int, int, int]:
    usage = response["usage"]
    return (
        usage["input_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )


@pytest.mark.parametrize("exchange", params(OWN))
def test_a_request_means_the_same_after_decoding_and_encoding(exchange: Loose) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = CODEC.encode_request(request, upstream(exchange))

    again = CODEC.decode_request(body_of(sent.body))
    kept = {name: raw for name, raw in again.extras["openai_responses"].items() if name != "store"}
    again = msgspec.structs.replace(again, extras={"openai_responses": kept} if kept else {})
    assert again == request
    assert sent.dropped == ()
    told = json.loads(sent.body)
    for name, value in exchange["request"].items():
        if name not in SPLIT and value not in (None, False):
            assert told[name] == value, name


@pytest.mark.parametrize("exchange", params(OWN))
def test_an_encoded_request_is_valid_by_the_types_of_the_sdk(exchange: Loose) -> None:
    request = CODEC.decode_request(body_of(exchange["request"]))

    sent = json.loads(CODEC.encode_request(request, upstream(exchange)).body)

    sent["stream"] = False
    # Sent by its id alone, which the types do not know; it passes as the client wrote it.
    sent["input"] = [item for item in sent["input"] if item.get("type") != "image_generation_call"]
    REQUEST.validate_python(sent)


@pytest.mark.parametrize("exchange", ALL)
def test_a_request_passes_directly_but_for_the_models_name(exchange: Loose) -> None:
    sent = CODEC.direct_request(
        body_of(exchange["request"]), Target(upstream_model="x", stream=False)
    )

    assert json.loads(sent.body) == {**exchange["request"], "model": "x"}


@pytest.mark.parametrize("exchange", params(REFERRING))
def test_what_refers_to_something_kept_elsewhere_is_refused(exchange: Loose) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        CODEC.decode_request(body_of(exchange["request"]))

    assert refused.value.param in KEPT


@pytest.mark.parametrize("exchange", params(BACKGROUND))
def test_an_answer_in_the_background_is_refused(exchange: Loose) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        CODEC.decode_request(body_of(exchange["request"]))

    assert refused.value.param == "background"
    with pytest.raises(GarbledStream):
        CODEC.decode_response(exchange["body"].encode())


@pytest.mark.parametrize("exchange", WHOLE)
def test_an_answer_is_what_the_sdk_reads(exchange: Loose) -> None:
    read = sdk_response(exchange["body"].encode())

    response = CODEC.decode_response(exchange["body"].encode())

    [choice] = response.choices
    assert answer_of_parts(choice.parts, choice.raw_stop) == answer_of_sdk(read)
    assert response.usage is not None
    assert counted(response.usage) == counted_by_sdk(read)


@pytest.mark.parametrize("exchange", WHOLE)
def test_an_answer_encoded_is_read_by_the_sdk_as_it_was(exchange: Loose) -> None:
    response = CODEC.decode_response(exchange["body"].encode())
    assert response.usage is not None

    body = CODEC.encode_response(response, TOLD, response.usage, COSTS)

    read = sdk_response(body)
    SDKResponse.model_validate_json(body)
    before = answer_of_sdk(sdk_response(exchange["body"].encode()))
    assert answer_of_sdk(read) == before._replace(stop="completed")
    assert counted_by_sdk(read) == counted(response.usage)
    assert read["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("exchange", WHOLE)
def test_an_answer_passes_directly_but_for_its_costs(exchange: Loose) -> None:
    body = CODEC.direct_response(exchange["body"].encode(), TOLD, COSTS)

    assert without_added(json.loads(body)) == json.loads(exchange["body"])
    assert json.loads(body)["usage"]["cost"] == 0.0001716


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_cut_anywhere_is_what_the_sdk_reads(exchange: Loose) -> None:
    data = exchange["body"].encode()
    whole = events_of(data)

    # Every cut is a cut of the frames: they are the same, so their events are.
    expected = frames(data)
    for size in (1, 2, 3, 7, 64):
        assert frames(data, size) == expected
    assert isinstance(whole[-1], Completed)
    read = sdk_stream(data)
    assert answer_of(whole) == answer_of_sdk(read.final)
    assert counted(usage_of(whole)) == counted_by_sdk(read.final)


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_encoded_is_read_by_the_sdk_as_it_was(exchange: Loose) -> None:
    events = events_of(exchange["body"].encode())

    read = sdk_stream(written(events))

    before = sdk_stream(exchange["body"].encode())
    assert read.error == ""
    assert answer_of_sdk(read.final) == answer_of_sdk(before.final)
    assert counted_by_sdk(read.final) == counted_by_sdk(before.final)


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_passes_directly_but_for_its_costs(exchange: Loose) -> None:
    data = exchange["body"].encode()

    out = forwarded(data)

    pairs = zip(frames(out), [each for each, _ in decoded(frames(data))], strict=False)
    for passed, came in pairs:
        if b'"cost"' not in passed.data:
            assert passed.raw == came.raw
            continue
        told = json.loads(passed.data)
        assert told["response"]["usage"]["cost"] == 0.0001716
        assert without_added(told["response"]) == json.loads(came.data)["response"]


@pytest.mark.parametrize("exchange", ERRORS)
def test_an_error_answer_keeps_what_the_provider_said(exchange: Loose) -> None:
    failure = CODEC.decode_error(exchange["status"], {}, exchange["body"].encode())

    assert failure.kind == "invalid"
    assert failure.message == json.loads(exchange["body"])["error"]["message"]


def test_items_that_only_this_protocol_knows_survive_an_answer() -> None:
    kinds = set()
    for exchange in (each.values[0] for each in WHOLE):
        response = CODEC.decode_response(exchange["body"].encode())
        others = [part for part in response.choices[0].parts if isinstance(part, Other)]
        told = json.loads(CODEC.encode_response(response, TOLD, Usage(), COSTS))
        for part in others:
            kinds.add(part.kind)
            assert json.loads(bytes(part.raw)) in told["output"]

    assert {"file_search_call", "compaction"} <= kinds
