"""REST framework's views as OpenAPI, by drf-spectacular and the table of `operations`.

Only the generator's two hooks are ours: `Views` says which description a view has, `Described` puts
its words, errors and headers in. Nothing is set on the views themselves.
"""

from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from ccapi.core.strict import StrictSerializer
from ccapi.openapi import errors
from ccapi.openapi.operations import OPERATIONS, VARIABLES, Operation
from ccapi.openapi.parts import Schema

HEADERS = ("x-request-id", "server-timing")
ALWAYS = (400, 401, 403, 500, 503)


class Described(AutoSchema):
    """One view and method, as its line in `OPERATIONS` says."""

    @property
    def _told(self) -> Operation:
        return OPERATIONS[type(self.view)][self.method.lower()]

    def get_operation(self, *arguments: Any, **named: Any) -> Schema:  # noqa: ANN401 — the library's own
        operation = super().get_operation(*arguments, **named) or {}
        told = self._told
        good: Schema = operation["responses"][str(told.status)]
        good["description"] = "Done."
        good["headers"] = {name: _ref("headers", name) for name in HEADERS}
        if told.has_sheet:
            good["content"]["text/csv"] = {"schema": {"type": "string"}}
        for status in sorted({*ALWAYS, *told.errors}):
            operation["responses"][str(status)] = _ref("responses", errors.NAMES[status])
        if told.example is not None:
            body = operation["requestBody"]["content"]["application/json"]
            body["examples"] = {told.id: {"value": told.example}}
        operation["parameters"] = [*operation.get("parameters", ()), *told.parameters]
        return operation

    def get_operation_id(self) -> str:
        return self._told.id

    def get_tags(self) -> list[str]:
        return [self._told.tag]

    def get_summary(self) -> str:
        return self._told.summary

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's form of REST framework's
        return self._told.description

    def get_auth(self) -> list[Schema]:
        return []  # the document's own, which is the same for all

    def get_override_parameters(self) -> list[Any]:
        path = [
            OpenApiParameter(name, str, OpenApiParameter.PATH)
            for name in dict.fromkeys(VARIABLES.values())
            if f"{{{name}}}" in self.path
        ]
        return path + ([self._told.query] if self._told.query else [])

    def _get_format_parameters(self) -> list[Schema]:
        return []  # Accept says it

    def get_request_serializer(self) -> Any:  # noqa: ANN401 — the library's own
        return self._told.body

    def get_response_serializers(self) -> Any:  # noqa: ANN401 — the library's own
        answer = self._told.answer
        shape = _ref("schemas", answer) if isinstance(answer, str) else answer
        return {self._told.status: shape}

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Schema:  # noqa: ANN401 — the library's own
        schema: Schema = super()._map_basic_serializer(serializer, direction)
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
        return schema


class Views(SchemaGenerator):
    """Every view of these patterns, described by `Described`."""

    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:  # noqa: ANN401 — the library's own
        view = super().create_view(callback, method, request)
        self._set_schema_to_view(view, Described())
        return view

    def coerce_path(self, path: str, method: str, view: Any) -> str:  # noqa: ANN401, ARG002 — the library's own
        for django, ours in VARIABLES.items():
            path = path.replace(f"{{{django}}}", f"{{{ours}}}")
        return path


def described(patterns: list[Any]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Paths, and the schemas that they name."""
    found: Schema = Views(patterns=patterns).get_schema(public=True)
    return found["paths"], found.get("components", {}).get("schemas", {})


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
