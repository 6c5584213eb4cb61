"""Pages of a list, as each vendor asks for them: Claude's by ids, Gemini's by tokens.

All of it unless a size is asked for.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

from ccapi.core.errors import InvalidParameter
from gateway.free.names import Named

LIMIT_MAX = 1000
SHOWN = 64  # characters of a customer's text that an error repeats


class Page(msgspec.Struct, frozen=True):
    """A part of a list; `more`: there is more in the direction that was asked for."""

    items: Sequence[Named]
    more: bool


def by_ids(listed: Sequence[Named], query: Mapping[str, str]) -> Page:
    """`limit`, and `after_id` or `before_id`. Raises: InvalidParameter."""
    limit = _count(query, "limit", least=1) or len(listed)
    if before := query.get("before_id", ""):
        end = _place(listed, before, "before_id")
        start = max(0, end - limit)
        return Page(listed[start:end], more=start > 0)
    after = query.get("after_id", "")
    start = _place(listed, after, "after_id") + 1 if after else 0
    return Page(listed[start : start + limit], more=start + limit < len(listed))


def by_token(listed: Sequence[Named], query: Mapping[str, str]) -> tuple[Page, str]:
    """`pageSize` and `pageToken`; the next page's token comes with the page, "" for the last.

    A token is the last name that was told, so pages hold while the catalog changes.
    Raises: InvalidParameter.
    """
    # 0 is Google's word for its default.
    size = min(_count(query, "pageSize", least=0, most=10**9), LIMIT_MAX) or len(listed)
    token = query.get("pageToken", "")
    last = _read(token).encode() if token else b""
    rest = [each for each in listed if each.name.encode() > last]
    page = Page(rest[:size], more=len(rest) > size)
    return page, _token(page.items[-1].name) if page.more else ""


def _place(listed: Sequence[Named], name: str, param: str) -> int:
    for at, each in enumerate(listed):
        if each.name == name:
            return at
    raise InvalidParameter(f"{param} names no model of this list: {name[:SHOWN]!r}.", param=param)


def _count(query: Mapping[str, str], name: str, *, least: int, most: int = LIMIT_MAX) -> int:
    """0 where it is not asked for."""
    text = query.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise InvalidParameter(
            f"{name} must be a whole number from {least} to {most}, not {text[:SHOWN]!r}.",
            param=name,
        )
    return int(text)


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _read(token: str) -> str:
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter("pageToken is none of ours.", param="pageToken") from error
