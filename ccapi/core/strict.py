"""Serializer parts for REST: bodies that refuse what they do not know, queries, times on the wire.

REST framework ignores unknown fields and takes "7" for 7 and "yes" for true. In a body that
changes what somebody may do, a mistyped field that is silently ignored is a hole, so bodies are
strict: only known fields, each of its JSON type. A query string has no types and may carry what
others added (a tracker, the key): unknown parameters are ignored, empty ones are as good as none.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from rest_framework import serializers

SHOWN = 64  # characters of a customer's text that an error repeats
YEARS = (2000, 2200)  # instants outside are mistakes, and some overflow


class StrictSerializer(serializers.Serializer[Any]):
    """A body: an unknown field is refused and named."""

    def to_internal_value(self, data: Any) -> Any:  # noqa: ANN401 — JSON is anything
        if isinstance(data, Mapping):
            for name in data:
                if name not in self.fields:
                    known = ", ".join(self.fields) or "none"
                    raise serializers.ValidationError(
                        {str(name)[:SHOWN]: [f"There is no such field. There are: {known}."]}
                    )
        return super().to_internal_value(data)


class Answer(serializers.Serializer[Any]):
    """What goes out; nothing is read from it."""


class QuerySerializer(serializers.Serializer[Any]):
    """A query string."""

    def to_internal_value(self, data: Any) -> Any:  # noqa: ANN401 — REST framework's signature
        return super().to_internal_value({name: value for name, value in data.items() if value})


class Text(serializers.CharField):
    """A string; a number is none."""

    def to_internal_value(self, data: Any) -> str:  # noqa: ANN401 — JSON is anything
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number; neither a string nor a truth value is one."""

    def to_internal_value(self, data: Any) -> int:  # noqa: ANN401 — JSON is anything
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """True or false; no word or number stands for them."""

    def to_internal_value(self, data: Any) -> bool:  # noqa: ANN401 — JSON is anything
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:SHOWN])
        return data


class Epoch(serializers.IntegerField):
    """An instant, told in seconds since 1970."""

    def to_representation(self, value: Any) -> int:  # noqa: ANN401 — a model's field
        return int(value.timestamp())


class Instant(serializers.CharField):
    """A bound of time in a query: ISO 8601, seconds since 1970, or a day.

    A day (`2026-10-07`) means its start in the time zone of the serializer's context (`timezone`, a
    name; else UTC), as does a time without an offset.
    """

    default_error_messages = {  # noqa: RUF012 — REST framework's own declaration
        "instant": "{value} is no time. Send ISO 8601 (2026-10-07T12:00:00Z, or a day: 2026-10-07)"
        " or seconds since 1970; a '+' in a query is written %2B."
    }

    def to_internal_value(  # type: ignore[override]  # text in, time out
        self,
        data: Any,  # noqa: ANN401 — REST framework's signature
    ) -> datetime:
        text = super().to_internal_value(data)
        zone = ZoneInfo(self.context.get("timezone", "UTC"))
        try:
            found = _instant(text, zone)
        except (ValueError, OverflowError):
            found = None
        if found is None or not YEARS[0] <= found.year < YEARS[1]:
            self.fail("instant", value=repr(text[:SHOWN]))
        return found


def validated(serializer: "serializers.Serializer[Any]") -> dict[str, Any]:
    """The serializer's values. Raises: ValidationError, rendered by `ccapi.core.rest`."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _instant(text: str, zone: ZoneInfo) -> datetime:
    """Raises: ValueError, OverflowError."""
    if text.isascii() and text.isdigit():
        return datetime.fromtimestamp(int(text), UTC)
    if len(text) == len("2026-10-07"):
        return datetime.combine(date.fromisoformat(text), time(), zone)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)
