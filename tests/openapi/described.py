"""Answers held against the document: whole ones, and streams event by event."""

from collections.abc import Iterator
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator

STREAMS = frozenset({"text/event-stream", "application/x-ndjson"})


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema that may refer to the document's components."""
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, validate_formats=True)


def content(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    """The media types of an answer."""
    answer = document["paths"][path][method]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = answer["content"]
    return found


def check(document: dict[str, Any], path: str, method: str, status: int, body: bytes) -> None:
    """An answer in JSON."""
    schema = content(document, path, method, status)["application/json"]["schema"]
    validator(document, schema).validate(orjson.loads(body))


def check_stream(document: dict[str, Any], path: str, media: str, text: str) -> int:
    """Each event of a stream, and how many there were; an error event ends one that failed."""
    told = content(document, path, "post", 200)[media]
    good = validator(document, told["x-event"])
    found = list(_events(media, text))
    for each in found:
        if "error" not in each:
            good.validate(each)
    return len(found)


def _events(media: str, text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        if media == "application/x-ndjson":
            if line:
                yield orjson.loads(line)
        elif line.startswith("data: ") and line != "data: [DONE]":
            yield orjson.loads(line.removeprefix("data: "))
