"""Which credential a request carries: pure functions over headers and the query.

Sources in this order: `Authorization: Bearer`, `x-api-key`, `?key=`, `x-goog-api-key`. The first
that is not empty is final: a wrong Bearer is not rescued by a good `x-api-key`.
"""

from collections.abc import Iterable
from urllib.parse import unquote_plus


def credential(headers: Iterable[tuple[bytes, bytes]], query: bytes = b"") -> str:
    """The credential of an ASGI request (header names in lower case), or `""`."""
    authorization = api_key = google = b""
    for name, value in headers:
        if name == b"authorization":
            authorization = authorization or value
        elif name == b"x-api-key":
            api_key = api_key or value
        elif name == b"x-goog-api-key":
            google = google or value
    bearer = bearer_of(authorization.decode("latin-1"))
    if bearer:
        return bearer
    return first(api_key.decode("latin-1"), query, google.decode("latin-1"))


def first(api_key: str, query: bytes, google: str) -> str:
    """The first of the sources after Bearer that is not empty."""
    return api_key.strip() or (_from_query(query) if query else "") or google.strip()


def bearer_of(authorization: str) -> str:
    """The token of a Bearer header; another scheme counts as no header at all."""
    if authorization[:7].lower() != "bearer ":
        return ""
    return authorization[7:].strip()


def _from_query(query: bytes) -> str:
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"key" and value:
            return unquote_plus(value.decode("latin-1")).strip()
    return ""
