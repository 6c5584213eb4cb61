"""One field of a client's request: read with its type, or refused with its name.

Null counts as absent, as OpenAI's endpoint takes it. `path` is the field's place in the request
(`messages[1].content[0].type`), and becomes the error's `param`.
"""

import math
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.protocols.shared import raws

T = TypeVar("T")

INTEGER_MAX = 2**63 - 1

_decode_text = msgspec.json.Decoder(str)
_decode_number = msgspec.json.Decoder(float)
_decode_flag = msgspec.json.Decoder(bool)
_decode_integer = msgspec.json.Decoder(int | float)
_decode_texts = msgspec.json.Decoder(list[str])
_decode_object = msgspec.json.Decoder(raws.Object)
_decode_objects = msgspec.json.Decoder(list[raws.Object])

Object = Mapping[str, raws.Raw]


def get(fields: Object, name: str) -> raws.Raw | None:
    """The field's raw value; None where it is absent or null."""
    value = fields.get(name)
    return value if value is not None and raws.is_set(value) else None


def text(fields: Object, name: str, *, within: str = "") -> str | None:
    return _read(fields, name, within, _decode_text)


def number(fields: Object, name: str, *, within: str = "") -> float | None:
    value = _read(fields, name, within, _decode_number)
    if value is not None and not math.isfinite(value):
        raise InvalidParameter(f"'{within}{name}' must be a finite number.", param=within + name)
    return value


def flag(fields: Object, name: str, *, within: str = "") -> bool | None:
    return _read(fields, name, within, _decode_flag)


def integer(
    fields: Object, name: str, *, minimum: int | None = None, within: str = ""
) -> int | None:
    """A whole number; `1.0` is 1."""
    value = _read(fields, name, within, _decode_integer)
    if value is None:
        return None
    path = within + name
    if value != value // 1 or abs(value) > INTEGER_MAX:
        raise InvalidParameter(f"'{path}' must be a whole number, not {value!r}.", param=path)
    if minimum is not None and value < minimum:
        raise InvalidParameter(f"'{path}' must be at least {minimum}, not {value!r}.", param=path)
    return int(value)


def texts(fields: Object, name: str, *, within: str = "") -> list[str] | None:
    return _read(fields, name, within, _decode_texts)


def table(fields: Object, name: str, *, within: str = "") -> raws.Object | None:
    """An object, its values raw."""
    return _read(fields, name, within, _decode_object)


def tables(fields: Object, name: str, *, within: str = "") -> list[raws.Object] | None:
    """An array of objects, their values raw."""
    return _read(fields, name, within, _decode_objects)


def required(value: T | None, path: str) -> T:
    """Raises: MissingParameter."""
    if value is None:
        raise MissingParameter(f"'{path}' is required.", param=path)
    return value


def _read(fields: Object, name: str, within: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    value = fields.get(name)
    if value is None or not raws.is_set(value):
        return None
    try:
        return decoder.decode(value)
    except msgspec.DecodeError as error:
        raise _refused(str(error), within + name) from None


def _refused(problem: str, path: str) -> InvalidParameter:
    """The words of msgspec (``Expected `str`, got `int` - at `$[0]` ``) with our own path."""
    what, _, where = problem.partition(" - at `$")
    path += where.rstrip("`")
    return InvalidParameter(f"Invalid '{path}': {what[:1].lower()}{what[1:]}.", param=path)
