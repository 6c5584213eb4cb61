"""First segments of paths that belong to us, so that no group (whose name is one) can take them.

`names()` is what the route tables say, joined with RESERVED: what later surfaces need, what servers
and browsers ask for by themselves, and words that would be read as something else. The tables are
named in the settings (Django's own, and `CCAPI_ROUTE_TABLES`): nothing here knows who has routes.
"""

from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

_WORDS = """
    v1 v1beta v2 api switch compat_mode compat mcp
    chat completions responses messages embeddings images audio videos realtime moderations
    models providers batches files jobs generations groups credits usage keys billing webhooks
    admin portal account accounts login logout auth schema openapi docs static media
    health healthz livez readyz metrics ws internal system root
    test null none undefined true false favicon.ico robots.txt .well-known
"""
RESERVED = frozenset(_WORDS.split())


def is_reserved(name: str) -> bool:
    return name.casefold() in names()


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Every name that no group may have, in lower case."""
    return RESERVED | route_names()


def route_names() -> frozenset[str]:
    """The first segments that the route tables have now."""
    found = _first_segments(get_resolver().url_patterns)
    for table in settings.CCAPI_ROUTE_TABLES:
        found |= {path.lstrip("/").partition("/")[0] for path in import_string(table)}
    return frozenset(name.lower() for name in found if name)


def _first_segments(patterns: Iterable[URLPattern | URLResolver]) -> set[str]:
    """What stands before the first slash; of routes mounted at the root, their own."""
    found: set[str] = set()
    for pattern in patterns:
        segment, slash, _ = str(pattern.pattern).lstrip("^/").partition("/")
        if isinstance(pattern, URLResolver) and not segment:
            found |= _first_segments(pattern.url_patterns)
        elif "<" not in segment and "(" not in segment:
            found.add(segment.rstrip("$") if not slash else segment)
    return found
