"""Failures: what went wrong, before a dialect has given it its vendor's status, words and shape."""

from typing import Literal

import msgspec

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
