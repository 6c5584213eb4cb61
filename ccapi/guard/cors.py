"""CORS: which pages in a browser may call the API and read its answers.

Credentials are API keys in headers, never cookies, so `Access-Control-Allow-Credentials` is never
said, and pages for people (the admin and what else lives by a session) get no permission at all.
"""

from collections.abc import Iterable, Mapping

from ccapi.guard.headers import Header

# First segments that live by cookies.
NEVER = frozenset({b"admin", b"portal", b"account", b"login", b"logout", b"auth"})
PREFLIGHT_S = 3600

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
# What a page may read beside the headers that every page may.
EXPOSED = (
    b"x-request-id",
    b"request-id",
    b"retry-after",
    b"x-should-retry",
    b"server-timing",
    b"idempotency-replayed",
    b"x-ccapi-generation-id",
    b"x-ccapi-provider",
    b"x-ccapi-model",
    b"x-ccapi-attempts",
    b"x-ccapi-cost",
    b"x-ccapi-dropped",
    b"x-ccapi-max-tokens-applied",
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
    b"www-authenticate",
    b"content-disposition",
)
_EXPOSE = (b"access-control-expose-headers", b", ".join(EXPOSED))


class Cors:
    """Permissions for the pages of `origins`; `*` is every page."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = {origin.lower().rstrip("/").encode() for origin in origins}
        self._any = b"*" in self._origins

    def headers(self, origin: bytes | None, path: bytes) -> list[Header]:
        """What an answer to a page of `origin` carries; [] where it may not read it."""
        if origin is None or not self._origins:
            return []
        # The path is not checked yet: it may be anything, or nothing.
        if path.lstrip(b"/").partition(b"/")[0] in NEVER:
            return []
        if self._any:
            return [(b"access-control-allow-origin", b"*"), _EXPOSE]
        if origin.lower() not in self._origins:
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), _EXPOSE]

    def preflight(self, method: str, found: Mapping[bytes, bytes], path: bytes) -> list[Header]:
        """The whole answer's headers where this asks before a page's real request; else []."""
        if method != "OPTIONS" or b"access-control-request-method" not in found:
            return []
        allowed = self.headers(found.get(b"origin"), path)
        if not allowed:
            return []
        # SDKs send headers of their own (x-stainless-…, anthropic-…), and new ones at any time.
        wanted = found.get(b"access-control-request-headers", b"")
        return [
            *(pair for pair in allowed if pair is not _EXPOSE),
            (b"access-control-allow-methods", METHODS),
            *([(b"access-control-allow-headers", wanted)] if wanted else []),
            (b"access-control-max-age", str(PREFLIGHT_S).encode()),
        ]
