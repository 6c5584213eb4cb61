"""Arguments of a call: the text that the model wrote → JSON, typed by the tool's schema.

The schema decides where it names the argument; else the type that the model wrote on it; else it is
text. What does not fit its type stays text, so that the client's own validation can say what is
wrong, and the model can mend it.
"""

import re
from typing import Any

import msgspec

_SYNONYMS = {
    "integer": {"integer", "int", "long", "short", "uint", "usize", "isize", "int32", "int64",
                "uint32", "uint64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"},
    "number": {"number", "float", "double", "f32", "f64", "float32", "float64", "decimal"},
    "boolean": {"boolean", "bool"},
    "array": {"array", "list", "vec"},
    "object": {"object", "map", "dict", "json"},
    "null": {"null", "none"},
    "string": {"string", "str", "text"},
}  # fmt: skip
TYPES = {synonym: kind for kind, synonyms in _SYNONYMS.items() for synonym in synonyms}

# What is tried first where a schema allows several types.
_ORDER = ("null", "boolean", "integer", "number", "array", "object", "string")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,39})\Z")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,39})(?:\.\d+)?(?:[eE][+-]?\d{1,3})?\Z")
_ZERO_FRACTION = re.compile(r"(-?\d+)\.0+\Z")
_REFERENCES_MAX = 8

Schema = dict[str, Any]


def arguments_json(given: list[tuple[str, str, str]], schema: Schema) -> str:
    """The arguments as JSON text, from (name, type as written, text); the last of a name counts."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    written: dict[str, msgspec.Raw] = {}
    for name, declared, text in given:
        types = types_of(properties.get(name), schema)
        if not types:
            kind = TYPES.get(declared.strip().lower(), "string")
            types = (kind,)
        written[name] = msgspec.Raw(value_json(text, types).encode())
    return msgspec.json.encode(written).decode()


def types_of(schema: object, root: Schema) -> tuple[str, ...]:
    """The JSON types that a property's schema allows; () where it does not say."""
    found = _types(schema, root, _REFERENCES_MAX)
    return tuple(kind for kind in _ORDER if kind in found)


def _types(schema: object, root: Schema, depth: int) -> set[str]:
    if not isinstance(schema, dict) or depth == 0:
        return set()
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _types(_resolved(reference, root), root, depth - 1)
    told = schema.get("type")
    if isinstance(told, str):
        return {told.lower()}  # Gemini's dialect writes STRING
    if isinstance(told, list):
        return {kind.lower() for kind in told if isinstance(kind, str)}
    found: set[str] = set()
    for word in ("anyOf", "oneOf", "allOf"):
        several = schema.get(word)
        if isinstance(several, list):
            for one in several:
                found |= _types(one, root, depth - 1)
    values = schema.get("enum")
    if not found and isinstance(values, list):
        found = {_type_of(value) for value in values}
    if not found and "properties" in schema:
        found = {"object"}
    return found


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "string"


def _resolved(reference: str, root: Schema) -> object:
    """A reference within the schema (`#/$defs/Edit`)."""
    at: object = root
    if not reference.startswith("#"):
        return None
    for step in reference.lstrip("#/").split("/"):
        if not isinstance(at, dict):
            return None
        at = at.get(step.replace("~1", "/").replace("~0", "~"))
    return at


def value_json(text: str, types: tuple[str, ...]) -> str:
    """The text as JSON of the first type that it fits; as a JSON string where it fits none."""
    for kind in types:
        found = _as(kind, text)
        if found is not None:
            return found
    return msgspec.json.encode(text).decode()


def _as(kind: str, text: str) -> str | None:
    bare = text.strip()
    match kind:
        case "string":
            return msgspec.json.encode(text).decode()
        case "null":
            return "null" if bare in ("null", "None") else None
        case "boolean":
            return bare.lower() if bare.lower() in ("true", "false") else None
        case "integer":
            whole = _ZERO_FRACTION.sub(r"\1", bare)
            return whole if _INTEGER.match(whole) else None
        case "number":
            whole = _ZERO_FRACTION.sub(r"\1", bare)
            return whole if _DECIMAL.match(whole) else None
        case "array" | "object":
            return _structure(bare, list if kind == "array" else dict)
        case _:
            return None


def _structure(text: str, wanted: type) -> str | None:
    """JSON of the wanted kind, also where the model wrapped it into one JSON string more."""
    for _ in range(2):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return None
        if isinstance(value, wanted):
            return text
        if not isinstance(value, str):
            return None
        text = value.strip()
    return None
