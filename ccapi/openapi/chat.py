"""The chat routes as OpenAPI: one operation a path of `gateway.routes`, described by its protocol.

Which statuses there are, and with which codes, each protocol's codec says itself. Prefixes before a
path (a group, `compat_mode`) change neither its body nor its answer and are not told one by one.
"""

import re
from collections.abc import Iterator

import orjson

from ccapi.openapi import errors
from ccapi.openapi.parts import Schema, load
from gateway.api import ROUTES, Codec, Route, find

METERED = (
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    *("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)
HEADERS = (
    *("x-request-id", "server-timing", "x-ccapi-generation-id", "x-ccapi-provider"),
    *("x-ccapi-model", "x-ccapi-attempts", "x-ccapi-cost", "x-ccapi-dropped"),
    *("x-ccapi-max-tokens-applied", *METERED),
)
# A provider's own refusal comes as it is where client and provider speak the same protocol.
PASSED_ON = (400, 404, 413, 422)
# Never said on a chat route: what else is asked for has routes of its own.
ELSEWHERE = frozenset(
    {"key_not_found", "generation_not_found", "job_not_found", "provider_not_found"}
)
# Routes that the table has no line for, since a model's name stands in the middle of their path.
NAMED = (
    "/v1beta/models/{model}:generateContent",
    "/v1beta/models/{model}:streamGenerateContent",
)
REQUEST_ID = "req_01998f2e4c0a7d0f8a3b5c6d7e8f9a0b"


def routes() -> dict[str, Route]:
    """Every chat route without a prefix, by its path in the document."""
    named = ((path, find(path.format(model="model"))) for path in NAMED)
    return ROUTES | {path: route for path, route in named if route is not None}


def paths() -> dict[str, Schema]:
    return {path: {"post": operation(path, route)} for path, route in routes().items()}


def schemas() -> dict[str, Schema]:
    """The components of every protocol that has a route."""
    found: dict[str, Schema] = {}
    for protocol in sorted({route.codec.name for route in routes().values()}):
        found |= load(protocol)["schemas"]
    found["ProviderError"] = {
        "type": "object",
        "additionalProperties": True,
        "description": "A provider's own words, where it speaks the client's protocol.",
    }
    return found


def operation(path: str, route: Route) -> Schema:
    told: Schema = load(route.codec.name)["operation"]
    good = {
        "description": "The answer: whole, or as it comes.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS},
        "content": dict(_answers(told, route)),
    }
    body = {"schema": _ref(told["request"]), "examples": told["examples"]}
    return {
        "operationId": re.sub(r"\W+", "_", path).strip("_"),
        "tags": [told["tag"]],
        "summary": told["summary"],
        "description": told["description"],
        "externalDocs": {"url": told["docs"], "description": "The protocol's own reference."},
        "servers": [{"url": "/"}],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "examples": [example]},
                "description": "A model's name.",
            }
            for name, example in told.get("variables", {}).items()
        ],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": good, **errors_of(route.codec, told["error"])},
    }


def _answers(told: Schema, route: Route) -> Iterator[tuple[str, Schema]]:
    """Media types. Where the path says whether the answer streams, those of that."""
    spoken = bytes(route.spoken.get("stream", b""))
    whole = _ref(told["response"])
    if spoken == b"true":
        whole = {"type": "array", "items": whole}
    yield "application/json", {"schema": whole}
    for media in told.get("binary", ()):
        yield media, {"schema": {}}
    if "stream" in told and spoken != b"false":
        stream: Schema = told["stream"]
        event = {"schema": {"type": "string"}, "x-event": _ref(stream["event"])}
        yield stream["media"], {**event, "example": stream["example"]}


def errors_of(codec: Codec, told: Schema) -> dict[str, Schema]:
    """An answer a status, in the protocol's own shape and numbers."""
    found: dict[int, list[errors.Kind]] = {status: [] for status in PASSED_ON}
    for kind in errors.kinds():
        if kind.code not in ELSEWHERE:
            found.setdefault(codec.error_status(kind("")), []).append(kind)
    return {str(status): _error(codec, told, status, of) for status, of in sorted(found.items())}


def _error(codec: Codec, told: Schema, status: int, of: list[errors.Kind]) -> Schema:
    if told["schema"] == "ErrorResponse" and status not in PASSED_ON:
        return {"$ref": f"#/components/responses/{errors.NAMES[status]}"}
    passed = _ref("ProviderError")
    if not of:
        return errors.answer(status, of, passed, None)
    schema = _ref(told["schema"])
    if told["code"]:
        schema = errors.narrowed(told["schema"], tuple(told["code"]), errors.codes(of))
    if status in PASSED_ON:
        schema = {"anyOf": [schema, passed]}
    shown = of[0](errors.meaning(of[0].code))
    body = orjson.loads(codec.encode_error(shown, REQUEST_ID))
    return errors.answer(status, of, schema, body)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
