"""The provider's credentials on an upstream request: which header or query parameter, which key."""

import itertools
from urllib.parse import urlencode

from catalog.types import Provider

_turns: dict[int, "itertools.count[int]"] = {}


def next_key(provider: Provider) -> str:
    """One of the provider's keys, in turn; "" for a keyless one."""
    keys = provider.api_keys
    if len(keys) <= 1:
        return keys[0] if keys else ""
    return keys[next(_turns.setdefault(provider.id, itertools.count())) % len(keys)]


def credentials(provider: Provider, default: str, key: str) -> tuple[dict[str, str], str]:
    """Headers and query string that carry the key and the provider's static parameters.

    `default` is the protocol's own way (`bearer`, `x-api-key`, …), used where the provider names
    none.
    """
    headers = dict(provider.headers)
    query = list(provider.query)
    way = provider.auth or default
    if key:
        if way == "bearer":
            headers["authorization"] = "Bearer " + key
        elif way.startswith("query:"):
            query.append((way.removeprefix("query:"), key))
        elif way != "none":
            headers[way] = key
    return headers, urlencode(query)
