"""Every client's form to every upstream's and back."""

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from ccapi.core.usage import Usage
from gateway.embeddings.registry import CLIENTS, UPSTREAMS
from gateway.embeddings.values import INPUTS_MAX, inputs_of
from gateway.ir.response import Costs
from gateway.protocols.base import GarbledStream, Target, Told

VECTORS = [[0.5, -0.25], [1.0, 0.0]]
TEXTS = ["Hello", "don't <stop>"]
COSTS = Costs(input="0.001", output="0", total="0.001")
CONTENTS = [{"content": {"parts": [{"text": text}]}} for text in TEXTS]
ASKED: dict[str, Any] = {
    "openai_embeddings": {"model": "m", "input": TEXTS},
    "gemini_embed": {"model": "m", **CONTENTS[0]},
    "gemini_batch_embed": {"model": "m", "requests": CONTENTS},
    "ollama_embed": {"model": "m", "input": TEXTS},
    "ollama_embeddings": {"model": "m", "prompt": TEXTS[0]},
}
ANSWERED: dict[str, Any] = {
    "openai": {
        "data": [{"index": at, "embedding": each} for at, each in enumerate(VECTORS)],
        "usage": {"prompt_tokens": 7},
    },
    "gemini": {
        "embeddings": [{"values": each} for each in VECTORS],
        "usageMetadata": {"promptTokenCount": 7},
    },
    "ollama": {"embeddings": VECTORS, "prompt_eval_count": 7},
}


def raw(body: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}


def told_vectors(client: str, answer: dict[str, Any]) -> list[list[float]]:
    match client:
        case "openai_embeddings":
            return [each["embedding"] for each in answer["data"]]
        case "gemini_embed":
            return [answer["embedding"]["values"]]
        case "gemini_batch_embed":
            return [each["values"] for each in answer["embeddings"]]
        case "ollama_embed":
            return list(answer["embeddings"])
    return [answer["embedding"]]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_texts_reach_every_upstream_and_vectors_every_client(client: str, upstream: str) -> None:
    request = CLIENTS[client].decode_request(raw(ASKED[client]))
    sent = UPSTREAMS[upstream].encode_request(request, Target(upstream_model="u", stream=False))
    response = UPSTREAMS[upstream].decode_response(json.dumps(ANSWERED[upstream]).encode())
    told = Told(id="x", model="m", provider="p", created=0, stamp=False, request=request)
    answer = CLIENTS[client].encode_response(response, told, response.usage or Usage(), COSTS)

    one_alone = client in ("gemini_embed", "ollama_embeddings")
    for text in TEXTS[:1] if one_alone else TEXTS:
        assert json.dumps(text).encode() in sent.body
    assert response.usage is not None
    assert response.usage.input_total == 7
    found = told_vectors(client, json.loads(answer))
    assert found == VECTORS[: len(found)]
    assert b'"cost":0.001' in answer


def test_tokens_go_where_they_mean_something_alone() -> None:
    request = CLIENTS["openai_embeddings"].decode_request(raw({"model": "m", "input": [1, 2, 3]}))
    target = Target(upstream_model="u", stream=False)

    sent = json.loads(UPSTREAMS["openai"].encode_request(request, target).body)

    assert sent["input"] == [[1, 2, 3]]
    for name in ("gemini", "ollama"):
        with pytest.raises(UnsupportedParameter):
            UPSTREAMS[name].encode_request(request, target)


def test_gemini_keeps_task_title_and_dimensions() -> None:
    body = {**ASKED["gemini_embed"], "taskType": "RETRIEVAL_DOCUMENT", "title": "T"}
    request = CLIENTS["gemini_embed"].decode_request(raw({**body, "outputDimensionality": 2}))

    sent = UPSTREAMS["gemini"].encode_request(request, Target(upstream_model="u", stream=False))

    assert sent.path == "/models/u:batchEmbedContents"
    one = json.loads(sent.body)["requests"][0]
    told = (one["taskType"], one["title"], one["outputDimensionality"], one["model"])
    assert told == ("RETRIEVAL_DOCUMENT", "T", 2, "models/u")


def test_base64_and_numbers_are_the_same_vector() -> None:
    packed = base64.b64encode(struct.pack("<2f", *VECTORS[0])).decode()
    answer = {"data": [{"index": 0, "embedding": packed}]}
    response = UPSTREAMS["openai"].decode_response(json.dumps(answer).encode())
    wanted = {"model": "m", "input": "a", "encoding_format": "base64"}
    request = CLIENTS["openai_embeddings"].decode_request(raw(wanted))
    told = Told(id="x", model="m", provider="p", created=0, request=request)

    numbers = CLIENTS["ollama_embed"].encode_response(response, told, Usage(), COSTS)
    same = CLIENTS["openai_embeddings"].encode_response(response, told, Usage(), COSTS)

    assert json.loads(numbers)["embeddings"] == [VECTORS[0]]
    assert json.loads(same)["data"][0]["embedding"] == packed
    assert json.loads(same)["provider"] == "p"


@pytest.mark.parametrize("vector", ["!", "AAA=", {"a": 1}, None, [1, "b"], [[1.0]]])
def test_what_is_no_vector_is_the_providers_fault(vector: object) -> None:
    answer = {"data": [{"index": 0, "embedding": vector}]}

    with pytest.raises(GarbledStream):
        UPSTREAMS["openai"].decode_response(json.dumps(answer).encode())


def test_too_many_inputs_are_refused_and_the_most_are_not() -> None:
    codec = CLIENTS["ollama_embed"]

    most = codec.decode_request(raw({"model": "m", "input": ["a"] * INPUTS_MAX}))

    assert len(inputs_of(most).texts) == INPUTS_MAX
    assert most.max_tokens == 0
    with pytest.raises(InvalidParameter):
        codec.decode_request(raw({"model": "m", "input": ["a"] * (INPUTS_MAX + 1)}))
