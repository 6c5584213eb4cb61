"""Which path is which billed route: found by dictionary, before Django sees the request.

Every protocol's paths stand at the root and under each prefix: `/compat_mode` (or `/compat`) for
tools told in the prompt, `/{group}` for a group's aliases, `/{group}/compat_mode`, and the same
with `switch` for the group that the organization has made active. Gemini's model and action stand
in the path itself, in both of its forms (`models/{model}:{action}` and `models/{model}/{action}`);
what a path says is added to the body (`Route.spoken`), where the codec reads it.

Every route here is billed, so every one passes `relay.admit` (a test lists them and checks).
"""

import msgspec
from msgspec.structs import replace

from catalog.types import ModelType
from gateway.embeddings.registry import CLIENTS as VECTORS
from gateway.ir.request import Raw
from gateway.protocols.base import Codec
from gateway.protocols.registry import CODECS, FORMS
from gateway.speech.registry import CLIENTS as SPEECH

SWITCH = "switch"
COMPAT = frozenset({"compat", "compat_mode"})


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route of chat, of vectors or of speech, and what the path of a request on it says.

    `path` is without its prefix. `stamp`: CCAPI's own, whose answers name the catalog's model and
    the provider. `group` is "" without a prefix, and SWITCH for the active one.
    """

    path: str
    codec: Codec
    endpoint: str
    kind: ModelType = "chat"
    stamp: bool = False
    group: str = ""
    compat: bool = False
    spoken: dict[str, Raw] = {}
    asked: dict[str, str] = {}  # what is read from the query, with its default


# Paths of each protocol: path → endpoint, as receipts and the log name it.
_PATHS: dict[str, dict[str, str]] = {
    "openai": {"/v1/chat/completions": "chat"},
    "openai_responses": {"/v1/responses": "responses"},
    "anthropic": {"/v1/messages": "messages"},
    "ollama": {"/api/chat": "chat"},
    "ollama_generate": {"/api/generate": "generate"},
    "openai_embeddings": {"/v1/embeddings": "embeddings"},
    "ollama_embed": {"/api/embed": "embed"},
    "ollama_embeddings": {"/api/embeddings": "embeddings"},
    "openai_speech": {"/v1/audio/speech": "speech"},
}
# Only at the root.
_UNPREFIXED: dict[str, dict[str, str]] = {
    "openai": {"/chat/completions": "chat"},
    "openai_responses": {"/responses": "responses"},
    "openai_embeddings": {"/embeddings": "embeddings"},
    "openai_speech": {"/audio/speech": "speech"},
}
_STAMPED = frozenset({"openai", "openai_embeddings", "openai_speech"})
_GEMINI_ROOTS = ("/v1beta/models/", "/v1/models/")
_GEMINI_ACTIONS = {"generateContent": False, "streamGenerateContent": True}  # action → stream
_GEMINI_VECTORS = {"embedContent": "gemini_embed", "batchEmbedContents": "gemini_batch_embed"}


def _table(paths: dict[str, dict[str, str]], *, stamp: bool) -> dict[str, Route]:
    spoken = CODECS | FORMS | VECTORS | SPEECH
    return {
        path: Route(
            path=path,
            codec=spoken[protocol],
            endpoint=endpoint,
            kind=_kind(protocol),
            stamp=stamp and protocol in _STAMPED,
        )
        for protocol, endpoints in paths.items()
        if protocol in spoken
        for path, endpoint in endpoints.items()
    }


def _kind(protocol: str) -> ModelType:
    if protocol in SPEECH:
        return "audio"
    return "embedding" if protocol in VECTORS else "chat"


# The routes without a prefix.
ROUTES: dict[str, Route] = {**_table(_PATHS, stamp=True), **_table(_UNPREFIXED, stamp=True)}
_PREFIXED = _table(_PATHS, stamp=False)


def find(path: str) -> Route | None:
    """The chat route of a decoded path; None where it is none."""
    route = ROUTES.get(path)
    if route is not None:
        return route
    if (route := _gemini(path)) is not None:
        return route
    group, compat, tail = split(path)
    if tail == path:
        return None
    route = _PREFIXED.get(tail) or _gemini(tail)
    return None if route is None else replace(route, group=group, compat=compat)


def split(path: str) -> tuple[str, bool, str]:
    """Group ("" for none), whether compat is asked for, and the path below the prefix.

    A path without a prefix comes back as it is. Whether the group exists is not asked here.
    """
    first, slash, rest = path[1:].partition("/")
    if not slash or not first:
        return "", False, path
    if first in COMPAT:
        return "", True, "/" + rest
    if first in ("v1", "v1beta", "api"):
        return "", False, path
    second, slash, below = rest.partition("/")
    if slash and second in COMPAT:
        return first, True, "/" + below
    return first, False, "/" + rest


def _gemini(path: str) -> Route | None:
    """Gemini's model, which may hold slashes and colons, and its action behind the last of them."""
    codec = CODECS.get("gemini")
    root = next((root for root in _GEMINI_ROOTS if path.startswith(root)), None)
    if codec is None or root is None:
        return None
    named = path[len(root) :]
    mark = ":" if ":" in named.rpartition("/")[2] else "/"
    model, _, action = named.rpartition(mark)
    vectors = _GEMINI_VECTORS.get(action)
    if vectors is not None and model:
        return Route(
            path=f"{root}{{model}}:{action}",
            codec=VECTORS[vectors],
            endpoint=action,
            kind="embedding",
            spoken={"model": Raw(msgspec.json.encode(model))},
        )
    streams = _GEMINI_ACTIONS.get(action)
    if streams is None or not model:
        return None
    return Route(
        path=f"{root}{{model}}:{action}",
        codec=codec,
        endpoint=action,
        spoken={
            "model": Raw(msgspec.json.encode(model)),
            "stream": Raw(b"true" if streams else b"false"),
        },
        asked={"alt": "json"},
    )
