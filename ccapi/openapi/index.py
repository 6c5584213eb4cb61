"""The front page: what can be called, and settings to copy.

The same for everybody, until they log in: then their own groups (`mine`) come first. Which routes
there are `parts/index.yaml` tells; a test holds it against the route tables.
"""

from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string

from ccapi.openapi import mine
from ccapi.openapi.parts import Schema, load


@lru_cache(maxsize=16)
def page(origin: str) -> str:
    """`origin` is `https://host`, as whoever reads it has called us."""
    return render_to_string("openapi/index.html", _told(origin))


def page_of(user_id: int, origin: str, *, user: str, csrf_token: str) -> str:
    """The same for a person; `user` is what they log in with."""
    own = {
        "user": user,
        "csrf_token": csrf_token,
        "organizations": mine.organizations(user_id, origin),
    }
    return render_to_string("openapi/index.html", _told(origin) | own)


def _told(origin: str) -> dict[str, Any]:
    told: Schema = load("index")
    settings = {
        kind: [
            {"name": each["name"], "code": each["code"].replace("ORIGIN", origin).strip()}
            for each in told[kind]
        ]
        for kind in ("agents", "sdks")
    }
    protocols = [
        {**each, "routes": [_route(line) for line in each["routes"]]} for each in told["protocols"]
    ]
    pictures = [_route(line) for line in told["pictures"]]
    return {
        "origin": origin,
        "protocols": protocols,
        "prefixes": told["prefixes"],
        "pictures": pictures,
        **settings,
    }


def _route(line: str) -> dict[str, str]:
    """`METHOD /path — what it does`."""
    method, _, rest = line.partition(" ")
    path, _, what = rest.partition(" — ")
    return {"method": method, "path": path, "what": what}
