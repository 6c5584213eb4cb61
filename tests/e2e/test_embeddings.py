"""Vectors through every client's protocol: billed like chat, with failover and receipts."""

import base64
import json
import struct
from typing import Any

import ollama
import pytest
from google import genai

from tests.e2e.stack import Account, Stack
from tests.e2e.test_free_routes import PREFIXES, team, wait_for_group
from tests.fakes.steps import reply
from tests.fakes.upstream import Upstream

VECTORS = [[0.5, -0.25, 0.125], [1.0, 0.0, -1.0]]
MODEL = "alpha/vectors"


def answer(count: int = 1) -> bytes:
    """What an OpenAI upstream says, having read 1,000 tokens."""
    data = [{"object": "embedding", "index": at, "embedding": VECTORS[at]} for at in range(count)]
    usage = {"prompt_tokens": 1000, "total_tokens": 1000}
    told = {"object": "list", "data": data[::-1], "model": "alpha-vectors", "usage": usage}
    return json.dumps(told).encode()


def test_openais_sdk_reads_vectors_and_the_receipt_says_what_they_cost(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-vectors", reply(body=answer()))

    with stack.openai(account) as client:
        raw = client.embeddings.with_raw_response.create(
            model=MODEL, input="Hello", encoding_format="float", extra_body={"odd": 1}
        )
    told = raw.parse()

    assert told.data[0].embedding == VECTORS[0]
    assert told.model == MODEL
    assert raw.headers["x-ccapi-cost"] == "0.001"
    assert raw.headers["x-ccapi-provider"] == "alpha"
    sent = upstream.requests[0].json()
    assert sent == {
        "model": "alpha-vectors",
        "input": "Hello",
        "encoding_format": "float",
        "odd": 1,
    }
    assert upstream.requests[0].path == "/v1/embeddings"
    receipt = stack.generation(account, raw.headers["x-ccapi-generation-id"])
    assert (receipt["cost"], receipt["endpoint"]) == ("0.001", "embeddings")
    usage = json.loads(raw.text)["usage"]
    assert (usage["cost"], usage["output_cost"]) == (0.001, 0)


def test_each_protocol_gets_vectors_in_its_own_shape(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    content = {"parts": [{"text": "Hello"}]}
    upstream.on("alpha-vectors", reply(body=answer()))
    with stack.http(account) as client:
        one = client.post(f"/v1beta/models/{MODEL}:embedContent", json={"content": content})
        older = client.post("/api/embeddings", json={"model": MODEL, "prompt": "Hello"})
        upstream.on("alpha-vectors", reply(body=answer(2)))
        new = client.post("/api/embed", json={"model": MODEL, "input": ["Hello", "there"]})
        batch = client.post(
            f"/v1beta/models/{MODEL}/batchEmbedContents",
            json={"requests": [{"content": content, "outputDimensionality": 3}] * 2},
        )

    assert one.json()["embedding"]["values"] == VECTORS[0]
    assert older.json()["embedding"] == VECTORS[0]
    assert new.json()["embeddings"] == VECTORS
    assert new.json()["prompt_eval_count"] == 1000
    assert [each["values"] for each in batch.json()["embeddings"]] == VECTORS
    assert batch.json()["usageMetadata"]["cost"] == 0.001
    assert upstream.requests[-1].json()["dimensions"] == 3
    assert upstream.requests[0].json()["encoding_format"] == "float"


def test_googles_and_ollamas_sdks_embed(stack: Stack, upstream: Upstream, account: Account) -> None:
    upstream.on("alpha-vectors", reply(body=answer(2)))
    options: Any = {"base_url": stack.webs[0].url}
    google = genai.Client(api_key=account.api_key, http_options=options)
    local = ollama.Client(
        host=stack.webs[0].url, headers={"authorization": f"Bearer {account.api_key}"}
    )

    texts: Any = ["Hello", "there"]  # the SDK's type is a list of a union
    told = google.models.embed_content(model=MODEL, contents=texts)
    google.close()
    embedded = local.embed(model=MODEL, input=["Hello", "there"])

    assert [each.values for each in told.embeddings or []] == VECTORS
    assert [list(each) for each in embedded.embeddings] == VECTORS


def test_vectors_as_base64_are_those_of_the_numbers(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    packed = base64.b64encode(struct.pack("<3f", *VECTORS[0])).decode()
    told = json.loads(answer())
    told["data"][0]["embedding"] = packed
    upstream.on("alpha-vectors", reply(body=json.dumps(told).encode()))

    with stack.openai(account) as client:
        # The SDK asks for base64 by itself, and unpacks it.
        found = client.embeddings.create(model=MODEL, input=[[1, 2, 3]])
    with stack.http(account) as plain:
        body = {"content": {"parts": [{"text": "Hello"}]}}
        gemini = plain.post(f"/v1beta/models/{MODEL}:embedContent", json=body)

    assert found.data[0].embedding == VECTORS[0]
    assert gemini.json()["embedding"]["values"] == VECTORS[0]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed", "/api/embeddings"])
def test_vectors_stand_under_every_prefix(
    stack: Stack, upstream: Upstream, account: Account, path: str
) -> None:
    team(stack, account)
    upstream.on("alpha-vectors", reply(body=answer()))

    with stack.http(account) as client:
        for prefix in PREFIXES:
            model = "vec" if prefix.startswith("/team") else MODEL
            done = client.post(prefix + path, json={"model": model, "input": "Hello"})
            assert done.status_code == 200, (prefix, done.text)
            assert done.headers["x-ccapi-cost"] == "0.001"
    stack.wait_for_no_holds()


def test_an_alias_of_vectors_fails_over_and_is_charged_once(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    with stack.http(account) as client:
        aliases = {"safe": ["gamma/vectors", "alpha/vectors"]}
        made = client.post("/v1/groups", json={"name": "spare", "aliases": aliases})
        assert made.status_code == 201, made.text
        upstream.on("gamma-vectors", reply(503, b'{"error": {"message": "no"}}'))
        upstream.on("alpha-vectors", reply(body=answer()))
        wait_for_group(stack, account, "spare")
        done = client.post("/spare/v1/embeddings", json={"model": "safe", "input": "Hi"})

    assert done.status_code == 200, done.text
    assert "gamma/vectors=503" in done.headers["x-ccapi-attempts"]
    assert done.headers["x-ccapi-model"] == "alpha/vectors"
    assert done.headers["x-ccapi-cost"] == "0.001"
    stack.wait_for_no_holds()


def test_what_cannot_be_embedded_is_refused_before_any_provider(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    bodies: list[dict[str, Any]] = [
        {"model": MODEL},
        {"input": "Hello"},
        {"model": MODEL, "input": []},
        {"model": MODEL, "input": ["a", 1]},
        {"model": MODEL, "input": [[]]},
        {"model": MODEL, "input": "a", "dimensions": 0},
        {"model": MODEL, "input": "a", "encoding_format": "binary"},
        {"model": "alpha/one", "input": "a"},
    ]
    with stack.http(account) as client:
        answers = [client.post("/v1/embeddings", json=body) for body in bodies]
        chat = client.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": [{"role": "user", "content": "Hi."}]},
        )

    assert [each.status_code for each in (*answers, chat)] == [400] * 9
    assert upstream.count() == 0
