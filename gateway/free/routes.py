"""Which path is which free route: found before Django sees the request, as `gateway.routes` does.

Below a protocol's own prefix (`/v1beta/`, `/api/`) nothing else lives, so what is unknown there is
told so in that protocol's words. `/v1/models` is OpenAI's, Claude's and Gemini's: headers tell
whose client asks. OpenAI's at the root is REST framework's (`catalog.views`), of the same content.
"""

from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec.structs import replace

from ccapi.core.reserved import is_reserved
from gateway import routes
from gateway.protocols.base import Codec
from gateway.protocols.registry import CODECS

Name = Literal[
    "models",
    "model",
    "gemini_models",
    "gemini_model",
    "tags",
    "show",
    "version",
    "ps",
    "count_messages",
    "count_contents",
    "voices",
    "unknown",
]
Headers = Collection[tuple[bytes, bytes]]


class FreeRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One free route, and what the path of a request on it says.

    `path` is without its prefix and, where a model stands in it, with `{model}`. `group` is "" for
    none, and `routes.SWITCH` for the active one.
    """

    name: Name
    path: str
    codec: Codec
    methods: tuple[str, ...] = ("GET", "HEAD")
    group: str = ""
    model: str = ""


_OPENAI, _CLAUDE = CODECS["openai"], CODECS["anthropic"]
_GEMINI, _OLLAMA = CODECS["gemini"], CODECS["ollama"]
POST = ("POST",)
# Those whose path is all that they are.
TABLE: dict[str, FreeRoute] = {
    route.path: route
    for route in (
        FreeRoute(name="models", path="/v1/models", codec=_OPENAI),
        FreeRoute(name="gemini_models", path="/v1beta/models", codec=_GEMINI),
        FreeRoute(name="tags", path="/api/tags", codec=_OLLAMA),
        FreeRoute(name="show", path="/api/show", codec=_OLLAMA, methods=POST),
        FreeRoute(name="version", path="/api/version", codec=_OLLAMA),
        FreeRoute(name="ps", path="/api/ps", codec=_OLLAMA),
        FreeRoute(
            name="count_messages", path="/v1/messages/count_tokens", codec=_CLAUDE, methods=POST
        ),
        FreeRoute(name="voices", path="/v1/audio/voices", codec=_OPENAI),
    )
}
# Those at the root alone.
_UNPREFIXED = {
    "/audio/voices": FreeRoute(name="voices", path="/audio/voices", codec=_OPENAI),
}
# Whose paths these are, also where there is no such path.
_OWNED = {
    "/v1beta/": _GEMINI,
    "/api/": _OLLAMA,
    "/v1/messages/": _CLAUDE,
    "/v1/claude/": _CLAUDE,
}
_COUNT = "countTokens"
_AS_GEMINI: dict[Name, Name] = {"models": "gemini_models", "model": "gemini_model"}


def find(path: str, headers: Headers = ()) -> FreeRoute | None:
    """The free route of a decoded path that is no chat route; None where Django answers."""
    if (route := _UNPREFIXED.get(path)) is not None:
        return route
    group, compat, tail = routes.split(path)
    if group and group != routes.SWITCH and is_reserved(group):
        return None
    route = _found(tail)
    if route is None:
        return None
    if route.codec is _OPENAI and route.name != "voices":
        spoken = spoken_by(headers)
        if spoken is _OPENAI and not group and not compat:
            return None
        name = _AS_GEMINI[route.name] if spoken is _GEMINI else route.name
        return replace(route, name=name, codec=spoken, group=group)
    return replace(route, group=group)


def spoken_by(headers: Headers) -> Codec:
    """Whose client sends such headers, where the path does not tell.

    A key in `x-goog-api-key` alone does not: it is taken from every client.
    """
    names = {name for name, _ in headers}
    if b"x-goog-api-client" in names:
        return _GEMINI
    return _CLAUDE if b"anthropic-version" in names or b"x-api-key" in names else _OPENAI


def _found(tail: str) -> FreeRoute | None:
    route = TABLE.get(tail)
    if route is not None:
        return route
    for root, codec in (("/v1beta/models/", _GEMINI), ("/v1/models/", _OPENAI)):
        if tail.startswith(root) and len(tail) > len(root):
            return _of_model(root, tail[len(root) :], codec)
    for root, codec in _OWNED.items():
        if tail.startswith(root):
            return FreeRoute(name="unknown", path=f"{root}…", codec=codec)
    return None


def _of_model(root: str, named: str, codec: Codec) -> FreeRoute:
    """A model, whose name may hold slashes and colons, and Gemini's action behind it, if any."""
    for mark in ":/":
        model, found, action = named.rpartition(mark)
        if found and model and action == _COUNT:
            return FreeRoute(
                name="count_contents",
                path=f"{root}{{model}}:{_COUNT}",
                codec=_GEMINI,
                methods=POST,
                model=model,
            )
    name: Name = "gemini_model" if codec is _GEMINI else "model"
    return FreeRoute(name=name, path=f"{root}{{model}}", codec=codec, model=named)
