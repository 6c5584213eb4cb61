"""Schemas as rows of a table: one a field, inner ones by their path (`choices[].message.role`)."""

from collections.abc import Iterator

import msgspec

from ccapi.openapi.parts import Schema

DEPTH_MAX = 3
ENUM_SHOWN = 8


class Field(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    type: str
    required: bool
    description: str


class Fields:
    """A reader of one document's components."""

    def __init__(self, components: Schema) -> None:
        self._components = components

    def rows(self, schema: Schema, within: str = "", depth: int = 0) -> Iterator[Field]:
        """The fields of an object, and of the objects in it, `DEPTH_MAX` deep."""
        whole = self._whole(schema)
        for name, told in whole.get("properties", {}).items():
            inner = self._whole(told)
            path = within + name
            yield Field(
                path=path,
                type=self.type_of(told),
                required=name in whole.get("required", ()),
                description=told.get("description") or inner.get("description", ""),
            )
            if depth + 1 < DEPTH_MAX:
                item = self._whole(inner.get("items", {}))
                if "properties" in item:
                    yield from self.rows(item, f"{path}[].", depth + 1)
                elif "properties" in inner:
                    yield from self.rows(inner, f"{path}.", depth + 1)

    def type_of(self, schema: Schema) -> str:
        whole = self._whole(schema)
        for either in ("anyOf", "oneOf"):
            if either in whole and "properties" not in whole:
                kinds = dict.fromkeys(self.type_of(each) for each in whole[either])
                return " or ".join(kinds)
        if "const" in whole:
            return f'"{whole["const"]}"'
        if "enum" in whole:
            return self._enum(whole["enum"])
        kind = whole.get("type", "anything")
        if kind == "array":
            return f"array of {self.type_of(whole.get('items', {}))}"
        return " or ".join(kind) if isinstance(kind, list) else str(kind)

    def _enum(self, values: list[object]) -> str:
        shown = ", ".join(str(value) for value in values[:ENUM_SHOWN])
        return shown if len(values) <= ENUM_SHOWN else f"{shown}, …"

    def _whole(self, schema: Schema) -> Schema:
        """With what it refers to, and all that it must be as well."""
        if "$ref" in schema:
            found = self._components[schema["$ref"].rpartition("/")[2]]
            return self._whole(found)
        if "allOf" not in schema:
            return schema
        whole: Schema = {**schema, "properties": {}, "required": []}
        for part in map(self._whole, schema["allOf"]):
            whole["properties"] |= part.get("properties", {})
            whole["required"] += part.get("required", [])
        return whole
