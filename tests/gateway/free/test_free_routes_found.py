import pytest

from gateway.free.names import Named
from gateway.free.paging import by_ids, by_token
from gateway.free.routes import TABLE, find
from tests.gateway.routing.offers import candidate

PREFIXES = {
    "/compat": "",
    "/compat_mode": "",
    "/coding": "coding",
    "/coding/compat": "coding",
    "/coding/compat_mode": "coding",
    "/switch": "switch",
    "/switch/compat": "switch",
    "/switch/compat_mode": "switch",
}
CLAUDE = [(b"anthropic-version", b"2023-06-01")]
GOOGLE = [(b"x-goog-api-client", b"google-genai-sdk/1")]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", TABLE)
def test_every_free_route_stands_under_every_prefix(prefix: str, path: str) -> None:
    route = find(prefix + path)

    assert route is not None
    assert (route.path, route.group) == (path, PREFIXES[prefix])


def test_whose_list_of_models_it_is_headers_tell() -> None:
    plain, claude, google = (find("/coding/v1/models", each) for each in ([], CLAUDE, GOOGLE))

    assert plain is not None
    assert claude is not None
    assert google is not None
    assert (plain.name, plain.codec.name) == ("models", "openai")
    assert (claude.name, claude.codec.name) == ("models", "anthropic")
    assert (google.name, google.codec.name) == ("gemini_models", "gemini")
    # At the root OpenAI's is REST framework's.
    assert find("/v1/models") is None
    assert find("/v1/models/a/b") is None
    assert find("/v1/models/a/b", CLAUDE) is not None


@pytest.mark.parametrize(
    ("path", "name", "named"),
    [
        ("/v1beta/models/qwen/qwen3", "gemini_model", "qwen/qwen3"),
        ("/v1beta/models/llama3:8b", "gemini_model", "llama3:8b"),
        ("/v1beta/models/qwen/qwen3:countTokens", "count_contents", "qwen/qwen3"),
        ("/v1beta/models/llama3:8b/countTokens", "count_contents", "llama3:8b"),
        ("/switch/compat/v1/models/a/b:countTokens", "count_contents", "a/b"),
        ("/coding/v1/models/a/b", "model", "a/b"),
    ],
)
def test_a_models_name_may_hold_slashes_and_colons(path: str, name: str, named: str) -> None:
    route = find(path)

    assert route is not None
    assert (route.name, route.model) == (name, named)


@pytest.mark.parametrize(
    ("path", "codec"),
    [
        ("/v1beta/nothing", "gemini"),
        ("/v1beta/models/", "gemini"),
        ("/coding/api/pull", "ollama"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1/claude/embeddings", "anthropic"),
    ],
)
def test_what_is_unknown_below_a_protocols_prefix_is_told_in_its_words(
    path: str, codec: str
) -> None:
    route = find(path)

    assert route is not None
    assert (route.name, route.codec.name) == ("unknown", codec)


@pytest.mark.parametrize(
    "path", ["/", "/models", "/admin/v1/models", "/usage/api/tags", "/compat/coding/v1/models"]
)
def test_the_rest_is_djangos(path: str) -> None:
    assert find(path) is None


def test_pages_by_ids_and_tokens_show_everything_once() -> None:
    listed = [Named(f"m{at}", candidate().model) for at in range(7)]

    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = by_ids(listed, query)
        seen += [each.name for each in page.items]
        if not page.more:
            break
        query["after_id"] = seen[-1]
    told: list[str] = []
    token = ""
    while True:
        page, token = by_token(listed, {"pageSize": "2", "pageToken": token})
        told += [each.name for each in page.items]
        if not token:
            break
    back = by_ids(listed, {"limit": "2", "before_id": "m1"})

    assert seen == told == [each.name for each in listed]
    assert [each.name for each in back.items] == ["m0"]
    assert not back.more
