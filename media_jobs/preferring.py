"""What a client prefers: to be told at once where to ask (`respond-async`), or to wait (`wait=N`).

Source: RFC 7240.
"""

from collections.abc import Iterable

import msgspec


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """`wait_s` None: not said."""

    is_async: bool = False
    wait_s: float | None = None

    @property
    def applied(self) -> str:
        """`Preference-Applied`, "" for nothing."""
        if self.is_async:
            return "respond-async"
        return "" if self.wait_s is None else f"wait={self.wait_s:.0f}"


def read(headers: Iterable[tuple[bytes, bytes]]) -> Wish:
    """Of lower-case header names. What is not understood is no preference, as the RFC has it."""
    is_async, wait_s = False, None
    for name, value in headers:
        if name != b"prefer":
            continue
        for word in value.decode("latin-1").split(","):
            token, _, amount = word.partition(";")[0].strip().partition("=")
            amount = amount.strip().strip('"')
            if token.strip().lower() == "respond-async":
                is_async = True
            elif token.strip().lower() == "wait" and wait_s is None and amount.isdecimal():
                wait_s = float(amount[:6])
    return Wish(is_async=is_async, wait_s=wait_s)
