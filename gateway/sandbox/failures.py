"""Failures: what went wrong, before a dialect has given it its vendor's status, words and shape."""

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

Kind = Literal[
    "invalid",
    "invalid_json",
    "too_large",
    "invalid_key",
    "no_credit",
    "not_found",
    "no_route",
    "context_length",
    "content_filter",
    "rate_limited",
    "server",
    "overloaded",
]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """`message` and `status` are the vendor's usual ones unless given; `facts` fill the message."""

    kind: Kind
    message: str = ""
    status: int = 0
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None  # seconds
    facts: dict[str, str | int] = {}


class Refused(Exception):
    """Ends a request with an error answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


def parsed(
    decode: Callable[[bytes], T], body: bytes, *, invalid: str = "Invalid request: {error}"
) -> T:
    """A request's body, decoded. Raises: Refused; `invalid` is how the vendor says why."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise Refused(Failure(kind="invalid", message=invalid.format(error=error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Failure(kind="invalid_json")) from error
