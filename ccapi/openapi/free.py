"""The free routes as OpenAPI: lists and counts in each protocol's own shape (`parts/free.yaml`).

Errors come as on the protocol's chat routes; `/v1/models` is REST framework's and described there.
"""

import re

from ccapi.openapi import chat
from ccapi.openapi.parts import Schema, load
from gateway.api import find_free

HEADERS = ("x-request-id", "server-timing")


def paths() -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for told in load("free")["operations"]:
        found.setdefault(told["path"], {})[told["method"]] = _operation(told)
    return found


def schemas() -> dict[str, Schema]:
    found: dict[str, Schema] = load("free")["schemas"]
    return found


def _operation(told: Schema) -> Schema:
    route = find_free(told["path"].format(model="model"))
    if route is None:
        raise LookupError(f"{told['path']} is no free route.")
    error = load(told["protocol"])["operation"]["error"]
    operation: Schema = {
        "operationId": f"{told['method']}_" + re.sub(r"\W+", "_", told["path"]).strip("_"),
        "tags": [told["tag"]],
        "summary": told["summary"],
        "description": told.get("description", "") + " It needs a key and costs nothing.",
        "externalDocs": {"url": told["docs"], "description": "The protocol's own reference."},
        "servers": [{"url": "/"}],
        "parameters": [*_variables(told), *told.get("query", ())],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS},
                "content": {"application/json": {"schema": _ref(told["answer"])}},
            },
            **chat.errors_of(route.codec, error),
        },
    }
    if "body" in told:
        body = told["body"]
        examples = {"example": {"summary": told["summary"], "value": body["example"]}}
        content = {"application/json": {"schema": _ref(body["schema"]), "examples": examples}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _variables(told: Schema) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "examples": [example]},
            "description": "A model's name.",
        }
        for name, example in told.get("variables", {}).items()
    ]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
