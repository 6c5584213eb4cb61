"""The document says what the code does: routes, fields, codes, names. What drifts fails here."""

import json
import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import URLPattern, get_resolver
from jsonschema_rs import meta

from ccapi import urls
from ccapi.core.errors import GatewayError
from ccapi.openapi import chat, document, errors, free
from ccapi.openapi.operations import OPERATIONS, VARIABLES
from ccapi.openapi.parts import load
from gateway.api import ROUTES
from gateway.free.routes import TABLE
from gateway.protocols.openai_chat import request as openai
from gateway.protocols.openai_chat.codec import CODEC
from gateway.protocols.shared import raws
from tests.openapi.described import validator

DOCUMENT = document.current()
SCHEMAS = DOCUMENT["components"]["schemas"]
# Of the contract; those of images come with them.
PUBLISHED = [
    *("ErrorObject", "ErrorResponse", "ChatMessage", "ChatToolFunction", "ChatTool"),
    *("ChatCompletionRequest", "ChatCompletionResponse", "ModelSummary", "ModelListResponse"),
    *("ProviderSummary", "ProviderListResponse", "ProviderDetailResponse"),
    *("AudioSpeechRequest", "AudioSpeechResponse"),
]
RESPONSES = ["BadRequest", "Unauthorized", "BillingError", "RateLimit", "InternalError"]
FOR_PEOPLE = re.compile(r"(?:|docs|login|logout|admin/.*)")
FOR_PROVIDERS = re.compile(r"media/notify/.*")


def _patterns(found: list[Any], prefix: str = "") -> list[str]:
    paths = []
    for each in found:
        here = prefix + str(each.pattern)
        paths += [here] if isinstance(each, URLPattern) else _patterns(each.url_patterns, here)
    return paths


def _in_document(pattern: str) -> str:
    return "/" + re.sub(
        r"<(?:\w+:)?(\w+)>", lambda name: f"{{{VARIABLES[name[1]]}}}", pattern
    ).removeprefix("v1/")


def _references(part: Any) -> set[str]:  # noqa: ANN401 — JSON
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(_references, part.values()))
    return set().union(*map(_references, part)) if isinstance(part, list) else set()


def test_it_is_a_valid_json_schema_throughout() -> None:
    for name, schema in SCHEMAS.items():
        assert meta.is_valid(schema), name
        validator(DOCUMENT, schema)


def test_every_reference_leads_somewhere() -> None:
    for reference in _references(DOCUMENT):
        found = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def test_the_published_names_are_all_there() -> None:
    assert [name for name in PUBLISHED if name not in SCHEMAS] == []
    assert [name for name in RESPONSES if name not in DOCUMENT["components"]["responses"]] == []


def test_every_url_of_the_url_map_is_in_it() -> None:
    every = _patterns(get_resolver().url_patterns)
    patterns = [
        each for each in every if not (FOR_PEOPLE.fullmatch(each) or FOR_PROVIDERS.fullmatch(each))
    ]

    assert {_in_document(each) for each in patterns} <= DOCUMENT["paths"].keys()
    assert "/keys/{id}/rotate" in {_in_document(each) for each in patterns}


def test_what_stands_at_the_root_stands_under_v1_too_as_the_servers_say() -> None:
    resolver = get_resolver().url_patterns
    below = [each for each in _patterns(resolver) if each.startswith("v1/")]

    assert {each.removeprefix("v1/") for each in below} == set(_patterns(urls.rest))
    assert [each["url"] for each in DOCUMENT["servers"]] == ["/", "/v1"]


def test_every_chat_route_is_in_it() -> None:
    assert ROUTES.keys() <= DOCUMENT["paths"].keys()
    assert chat.routes().keys() <= DOCUMENT["paths"].keys()


def test_every_view_and_method_is_described() -> None:
    for view, methods in OPERATIONS.items():
        has = {name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)}
        assert has == methods.keys(), view


def test_operation_ids_are_unique() -> None:
    ids = [each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values()]

    assert len(ids) == len(set(ids))


def test_every_code_of_the_tree_has_its_meaning_and_stands_at_its_status() -> None:
    kinds: list[errors.Kind] = [GatewayError, *errors.kinds()]
    assert len(kinds) > 30

    for kind in kinds:
        assert errors.meaning(kind.code), kind.code
        assert errors.explained(kind.status), kind.status
        assert kind.code in SCHEMAS["ErrorObject"]["properties"]["code"]["enum"]
        answer = DOCUMENT["components"]["responses"][errors.NAMES[kind.status]]
        schema = answer["content"]["application/json"]["schema"]
        validator(DOCUMENT, schema).validate(json.loads(json.dumps(kind("why").body())))


def test_an_answer_with_a_code_of_another_status_does_not_fit() -> None:
    schema = DOCUMENT["components"]["responses"]["RateLimit"]["content"]["application/json"]
    of_money = errors.example(errors.by_status()[402][0])

    assert not validator(DOCUMENT, schema["schema"]).is_valid(of_money)


VALUES = {
    "model": "a/b",
    "models": ["a/b"],
    "messages": [{"role": "user", "content": "hi"}],
    "stop": "x",
    "tool_choice": "auto",
    "function_call": "auto",
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "functions": [{"name": "f"}],
    "n": 1,
}
EMPTY = {"string": "x", "integer": 1, "number": 1.0, "boolean": True, "object": {}, "array": []}
# Read for other protocols, and kept as they came for this one.
RAW_TOO = ("top_k", "max_completion_tokens")


def test_chat_fields_are_those_that_the_codec_reads() -> None:
    told = SCHEMAS["ChatCompletionRequest"]["properties"]

    assert {name for name in openai._KNOWN if name not in told} == set()
    for name, field in told.items():
        value = VALUES.get(name, EMPTY.get(field.get("type", "")))
        body = {"model": "a/b", "messages": VALUES["messages"], name: value}
        raw = {key: raws.raw(each) for key, each in body.items()}
        extras = CODEC.decode_request(raw).extras.get("openai", {})
        assert (name in extras) == (name in RAW_TOO or field.get("x-passed-on", False)), name


@pytest.mark.parametrize("protocol", sorted({each.codec.name for each in ROUTES.values()}))
def test_examples_of_requests_fit_their_own_schema(protocol: str) -> None:
    part = load(protocol)["operation"]
    schema = {"$ref": f"#/components/schemas/{part['request']}"}

    for example in part["examples"].values():
        validator(DOCUMENT, schema).validate(example["value"])


def test_it_comes_as_json_or_yaml_and_says_for_how_long_it_is_good() -> None:
    as_json = Client().get("/schema")
    as_yaml = Client().get("/schema", headers={"accept": "application/yaml"})

    assert as_json.headers["content-type"] == "application/json"
    assert as_yaml.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(as_yaml.content) == as_json.json() == json.loads(document.as_json())
    assert as_json.json()["openapi"].startswith("3.1")
    assert "max-age" in as_json.headers["cache-control"]
    assert Client().post("/schema").status_code == 405


def test_every_free_route_is_described() -> None:
    named = {"/v1beta/models/{model}", "/v1beta/models/{model}:countTokens"}
    elsewhere = {"/v1/models", "/v1/audio/voices"}  # told at the root, without the /v1

    assert (TABLE.keys() - elsewhere) | named == free.paths().keys()
    assert free.paths().keys() <= DOCUMENT["paths"].keys()
