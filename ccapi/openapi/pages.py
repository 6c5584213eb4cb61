"""The page for people: an introduction by hand, and a reference made of the document."""

import shlex
from functools import lru_cache
from typing import Any

import orjson
from django.template.loader import render_to_string

from ccapi.openapi import chat, errors
from ccapi.openapi.document import current
from ccapi.openapi.fields import Field, Fields
from ccapi.openapi.parts import Schema, load
from ccapi.openapi.prose import block, inline
from gateway.api import MEDIA_SCENARIOS, SCENARIOS

METHODS = ("get", "post", "put", "patch", "delete")


@lru_cache(maxsize=16)
def docs(origin: str) -> str:
    """The whole page. `origin` is `https://host`, as whoever reads it has called us."""
    document = current()
    return render_to_string(
        "openapi/docs.html",
        {
            "origin": origin,
            "groups": _groups(document, origin),
            "errors": _errors(),
            "headers": _headers(),
            "scenarios": _scenarios(),
            "schemes": [
                {"name": name, "description": inline(told["description"])}
                for name, told in document["components"]["securitySchemes"].items()
            ],
        },
    )


def _groups(document: Schema, origin: str) -> list[dict[str, Any]]:
    fields = Fields(document["components"]["schemas"])
    return [
        {
            **tag,
            "operations": [
                _operation(document, fields, path, method, origin)
                for path, methods in document["paths"].items()
                for method in METHODS
                if method in methods and methods[method]["tags"] == [tag["name"]]
            ],
        }
        for tag in document["tags"]
    ]


def _operation(
    document: Schema, fields: Fields, path: str, method: str, origin: str
) -> dict[str, Any]:
    told: Schema = document["paths"][path][method]
    body: Schema = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    status, good = next(iter(told["responses"].items()))
    answer: Schema = good.get("content", {}).get("application/json", {})
    examples = list(body.get("examples", {}).values())
    needs_key = told.get("security") != []
    return {
        "id": told["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": told["summary"],
        "description": block(told.get("description", "")),
        "parameters": [
            _row(
                Field(
                    path=each["name"],
                    type=fields.type_of(each["schema"]),
                    required=each.get("required", False),
                    description=each.get("description", ""),
                )
            )
            for each in told.get("parameters", ())
        ],
        "body": [_row(each) for each in fields.rows(body.get("schema", {}))],
        "answer": [_row(each) for each in fields.rows(answer.get("schema", {}))],
        "status": status,
        "statuses": [each for each in told["responses"] if each != status],
        "examples": [
            {
                "summary": each.get("summary", "Example"),
                "code": curl(method, origin + path, each["value"], needs_key=needs_key),
            }
            for each in examples
        ]
        or [{"summary": "Example", "code": curl(method, origin + path, needs_key=needs_key)}],
    }


def _row(field: Field) -> dict[str, Any]:
    return {
        "path": field.path,
        "type": field.type,
        "required": field.required,
        "description": inline(field.description),
    }


def curl(method: str, url: str, body: object = None, *, needs_key: bool = True) -> str:
    """The request as a line for a shell."""
    parts = ["curl", "-X", method.upper()] if method not in ("get", "post") else ["curl"]
    lines = [" ".join([*parts, shlex.quote(url) if "{" not in url else f"'{url}'"])]
    if needs_key:
        lines.append('-H "Authorization: Bearer $CCAPI_KEY"')
    if body is not None:
        text = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(text)}"]
    return " \\\n  ".join(lines)


def _errors() -> list[dict[str, Any]]:
    return [
        {
            "status": status,
            "explained": inline(errors.explained(status)),
            "codes": [
                {"code": code, "meaning": inline(errors.meaning(code))} for code in errors.codes(of)
            ],
        }
        for status, of in errors.by_status().items()
    ]


def _headers() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": inline(told["description"]),
            "example": told.get("example", ""),
            "billed": name in chat.HEADERS,
        }
        for name, told in load("headers").items()
    ]


def _scenarios() -> list[dict[str, Any]]:
    models = {f"sandbox/{name}": each for name, each in SCENARIOS.items()}
    for provider, table in MEDIA_SCENARIOS.items():
        models |= {f"{provider}/{name}": each.scenario for name, each in table.items()}
    return [
        {
            "name": name,
            "stream": inline(each.stream),
            "json": inline(each.json),
            "number": inline(each.number),
        }
        for name, each in models.items()
    ]
