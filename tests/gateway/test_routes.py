import msgspec
import pytest

from gateway import routes
from gateway.embeddings.registry import CLIENTS
from gateway.protocols.registry import CODECS, FORMS

PREFIXES = {
    "": ("", False),
    "/compat_mode": ("", True),
    "/compat": ("", True),
    "/coding": ("coding", False),
    "/coding/compat_mode": ("coding", True),
    "/coding/compat": ("coding", True),
    "/switch": (routes.SWITCH, False),
    "/switch/compat_mode": (routes.SWITCH, True),
    "/switch/compat": (routes.SWITCH, True),
}
PATHS = {
    "/v1/chat/completions": "openai",
    "/v1/responses": "openai_responses",
    "/v1/messages": "anthropic",
    "/api/chat": "ollama",
    "/api/generate": "ollama_generate",
    "/v1beta/models/m:generateContent": "gemini",
    "/v1/embeddings": "openai_embeddings",
    "/api/embed": "ollama_embed",
    "/api/embeddings": "ollama_embeddings",
    "/v1beta/models/m:embedContent": "gemini_embed",
    "/v1beta/models/m/embedContent": "gemini_embed",
    "/v1beta/models/m:batchEmbedContents": "gemini_batch_embed",
}
HERE = {path: protocol for path, protocol in PATHS.items() if protocol in CODECS | FORMS | CLIENTS}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", HERE)
def test_every_route_stands_under_every_prefix(prefix: str, path: str) -> None:
    route = routes.find(prefix + path)

    assert route is not None
    assert route.codec.name == HERE[path]
    assert (route.group, route.compat) == PREFIXES[prefix]


def test_only_our_own_routes_are_stamped() -> None:
    stamped = [path for path, route in routes.ROUTES.items() if route.stamp]

    assert set(stamped) == {
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/embeddings",
        "/embeddings",
        "/v1/audio/speech",
        "/audio/speech",
    }
    grouped = routes.find("/coding/v1/chat/completions")
    assert grouped is not None
    assert not grouped.stamp


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/coding",
        "/compat/coding/v1/messages",
        "/coding/other/v1/messages",
        "/coding/chat/completions",
        "/v1/v1/messages",
        "/v1/messages/",
        "//v1/messages",
        "/coding/v1/models",
        "/v1beta/models/m:deleteEverything",
        "/v1beta/models/:generateContent",
    ],
)
def test_anything_else_is_no_chat_route(path: str) -> None:
    assert routes.find(path) is None


@pytest.mark.skipif("gemini" not in CODECS, reason="no codec of Gemini here")
@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", False),
        ("/v1beta/models/gemini-2.5-pro/streamGenerateContent", "gemini-2.5-pro", True),
        ("/v1beta/models/qwen/qwen3:streamGenerateContent", "qwen/qwen3", True),
        ("/v1beta/models/qwen/qwen3/generateContent", "qwen/qwen3", False),
        ("/v1beta/models/llama3:8b:generateContent", "llama3:8b", False),
        ("/v1beta/models/llama3:8b/generateContent", "llama3:8b", False),
        ("/switch/compat/v1beta/models/a/b:generateContent", "a/b", False),
    ],
)
def test_geminis_model_and_action_stand_in_the_path(path: str, model: str, stream: bool) -> None:
    route = routes.find(path)

    assert route is not None
    assert {name: msgspec.json.decode(raw) for name, raw in route.spoken.items()} == {
        "model": model,
        "stream": stream,
    }
