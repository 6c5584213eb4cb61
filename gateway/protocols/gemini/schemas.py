"""Schemas: Gemini's subset of OpenAPI (`parameters`, `responseSchema`) → JSON Schema.

The way back is not needed: `parametersJsonSchema` and `responseJsonSchema` take JSON Schema itself,
with all that the subset cannot say (`$ref`, `additionalProperties`, `oneOf`, …), so that is what
upstreams get. Source: https://ai.google.dev/api/caching#Schema, …#FunctionDeclaration
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.protocols.gemini import wire

_decode = msgspec.json.Decoder(dict[str, Any]).decode

# Proto JSON writes int64 as text.
_INTEGERS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_SCHEMAS = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_TABLES = frozenset({"properties", "$defs", "defs"})


def to_json_schema(raw: wire.Raw) -> wire.Raw:
    """Raises: msgspec.DecodeError for what is no object."""
    return wire.raw(_converted(_decode(raw)))


def _converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key, value in schema.items():
        name = key if key.startswith("$") else wire.camel(key)
        told[name] = _value(name, value)
    nullable = told.pop("nullable", None)
    kind = told.get("type")
    if isinstance(kind, str):
        if kind == "type_unspecified":
            del told["type"]
        elif nullable is True and kind != "null":
            told["type"] = [kind, "null"]
            if isinstance(told.get("enum"), list):
                told["enum"] = [*told["enum"], None]
    elif nullable is True and isinstance(told.get("anyOf"), list):
        told["anyOf"] = [*told["anyOf"], {"type": "null"}]
    return told


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
    convert: Callable[[Any], Any] = _nested
    if name == "type":
        return _type(value)
    if name in _INTEGERS and isinstance(value, str) and value.isdigit():
        return int(value)
    if name in _SCHEMAS:
        return convert(value)
    if name in _LISTS and isinstance(value, list):
        return [convert(one) for one in value]
    if name in _TABLES and isinstance(value, dict):
        return {key: convert(one) for key, one in value.items()}
    return value


def _nested(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return _converted(value) if isinstance(value, dict) else value


def _type(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, list):
        return [one.lower() if isinstance(one, str) else one for one in value]
    return value
