"""Free routes with the vendors' own SDKs, under every prefix, and what they refuse."""

import time
from typing import Any

import anthropic
import httpx2
import ollama
import openai
import pytest
from google import genai

from tests.e2e.stack import Account, Stack
from tests.fakes.upstream import Upstream

PREFIXES = (
    *("", "/compat", "/compat_mode", "/team", "/team/compat", "/team/compat_mode"),
    *("/switch", "/switch/compat", "/switch/compat_mode"),
)
GETS = ("/v1/models", "/v1beta/models", "/api/tags", "/api/version", "/api/ps")
GET_ONES = ("/v1/models/{model}", "/v1beta/models/{model}")
PROMPT = {"messages": [{"role": "user", "content": "How many tokens are in here?"}]}
CONTENTS = {"contents": [{"parts": [{"text": "How many tokens are in here?"}]}]}
POSTS: dict[str, dict[str, Any]] = {
    "/api/show": {"model": "{model}"},
    "/v1/messages/count_tokens": {"model": "{model}", **PROMPT},
    "/v1beta/models/{model}:countTokens": CONTENTS,
    "/v1beta/models/{model}/countTokens": CONTENTS,
}
HEARD_S = 10.0  # a test's machine is busy; a second is what is promised
ALIASES = {"smart": ["alpha/one"], "fast-*": ["beta/one", "alpha/two"], "vec": ["alpha/vectors"]}


def team(stack: Stack, account: Account, name: str = "team") -> None:
    with stack.http(account) as client:
        made = client.post("/v1/groups", json={"name": name, "aliases": ALIASES})
    assert made.status_code == 201, made.text
    wait_for_group(stack, account, name)


def wait_for_group(stack: Stack, account: Account, name: str) -> None:
    """Until every process has heard of it."""
    deadline = time.monotonic() + HEARD_S
    for web in stack.webs:
        with stack.http(account, web) as client:
            while not client.get(f"/{name}/v1/models").json()["data"]:
                assert time.monotonic() < deadline, f"{web.url} has not heard of {name}"
                time.sleep(0.05)


def spelled(body: dict[str, Any], model: str) -> dict[str, Any]:
    return {**body, "model": model} if body.get("model") == "{model}" else body


def told_error(path: str, answer: httpx2.Response) -> str:
    """The message, where the error has the shape of the path's protocol."""
    body = answer.json()
    if "/v1beta/" in path:
        assert body["error"]["code"] == answer.status_code
        return str(body["error"]["status"])
    if "/api/" in path:
        return str(body["error"])
    if "/v1/messages" in path:
        assert body["type"] == "error"
    return str(body["error"]["message"])


def test_every_free_route_answers_under_every_prefix_and_costs_nothing(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    team(stack, account)
    before = stack.balance(account)

    with stack.http(account) as client:
        for prefix in PREFIXES:
            model = "smart" if prefix.startswith("/team") else "alpha/one"
            for path in (*GETS, *(each.format(model=model) for each in GET_ONES)):
                answer = client.get(prefix + path)
                assert answer.status_code == 200, (prefix + path, answer.text)
                assert answer.headers["x-request-id"].startswith("req_")
            for path, body in POSTS.items():
                at = prefix + path.format(model=model)
                answer = client.post(at, json=spelled(body, model))
                assert answer.status_code == 200, (at, answer.text)

    assert stack.balance(account) == before
    assert upstream.count() == 0


@pytest.mark.parametrize("prefix", PREFIXES)
def test_wrong_methods_and_unknown_paths_are_told_in_the_routes_protocol(
    stack: Stack, account: Account, prefix: str
) -> None:
    with stack.http(account) as client:
        for path in (*GETS, *(each.format(model="alpha/one") for each in GET_ONES)):
            for method in ("POST", "PUT", "DELETE"):
                answer = client.request(method, prefix + path)
                assert answer.status_code == 405, (prefix + path, answer.text)
                assert "GET" in answer.headers["allow"]
                assert told_error(path, answer)
        for path in POSTS:
            answer = client.get(prefix + path.format(model="alpha/one"))
            # A model may be called anything, so a GET asks for one of that name.
            expected = 404 if path.startswith("/v1beta") else 405
            assert answer.status_code in (405, expected), (prefix + path, answer.text)
            assert told_error(path, answer)
        for path in ("/api/nothing", "/v1beta/nothing", "/v1/messages/nothing"):
            answer = client.get(prefix + path)
            assert answer.status_code == 404, (prefix + path, answer.text)
            assert told_error(path, answer)
        odd = client.post(f"{prefix}/v1beta/models/alpha/one:deleteEverything", json={})
        assert (odd.status_code, odd.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_every_free_route_wants_a_key_from_one_of_four_places(
    stack: Stack, account: Account
) -> None:
    key = account.api_key
    sources: list[dict[str, Any]] = [
        {"headers": {"authorization": f"Bearer {key}"}},
        {"headers": {"x-api-key": key}},
        {"params": {"key": key}},
        {"headers": {"x-goog-api-key": key}},
    ]
    wrong: dict[str, Any] = {"headers": {"authorization": "Bearer sk-cc-wrong", "x-api-key": key}}

    with stack.http(None) as nobody:
        for path in GETS:
            assert nobody.get(path).status_code == 401, path
            assert nobody.get(path, **wrong).status_code == 401, path
            for source in sources:
                assert nobody.get(path, **source).status_code == 200, (path, source.keys())
        for path, body in POSTS.items():
            at = path.format(model="alpha/one")
            assert nobody.post(at, json=spelled(body, "alpha/one")).status_code == 401, path
            for source in sources:
                answer = nobody.post(at, json=spelled(body, "alpha/one"), **source)
                assert answer.status_code == 200, (at, answer.text)


def test_a_group_shows_its_aliases_to_its_own_organization_alone(
    stack: Stack, account: Account
) -> None:
    team(stack, account, "ours")
    stranger = stack.account()

    with stack.http(account) as client, stack.http(stranger) as other:
        listed = client.get("/ours/v1/models").json()
        theirs = [other.get(f"/ours{path}").json() for path in ("/v1/models", "/v1beta/models")]
        shown = other.post("/ours/api/show", json={"model": "smart"})
        matched = client.get("/ours/v1/models/fast-lane").json()

    assert [each["id"] for each in listed["data"]] == ["fast-*", "smart", "vec"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("fast-*", "vec", False)
    first = listed["data"][0]
    assert (first["owned_by"], first["max_tokens"], first["type"]) == ("beta", 1000, "model")
    assert theirs[0]["data"] == []
    assert theirs[1]["models"] == []
    assert shown.status_code == 404
    assert (matched["id"], matched["owned_by"]) == ("fast-lane", "beta")


def test_a_key_sees_only_the_models_that_it_may_call(stack: Stack, account: Account) -> None:
    team(stack, account, "mixed")
    with stack.http(account) as client:
        made = client.post("/v1/keys", json={"name": "one", "allowed_models": ["beta/one"]})
    assert made.status_code == 201, made.text
    narrow = Account(organization=account.organization, api_key=made.json()["key"])

    with stack.http(narrow) as client:
        catalog = client.get("/compat/v1/models").json()["data"]
        gemini = client.get("/v1beta/models").json()["models"]
        tags = client.get("/api/tags").json()["models"]
        group = client.get("/mixed/v1/models").json()["data"]
        hidden = client.get("/v1beta/models/alpha/one")

    assert [each["id"] for each in catalog] == ["beta/one"]
    assert [each["name"] for each in gemini] == ["models/beta/one"]
    assert [each["name"] for each in tags] == ["beta/one"]
    assert [each["id"] for each in group] == ["fast-*"]
    assert hidden.status_code == 404


def test_openais_sdk_lists_and_retrieves(stack: Stack, account: Account) -> None:
    team(stack, account, "oai")
    base = stack.webs[0].url + "/oai/v1"

    with stack.openai(account) as plain:
        ids = {each.id for each in plain.models.list()}
        one = plain.models.retrieve("alpha/one")
    with openai.OpenAI(api_key=account.api_key, base_url=base, max_retries=0) as grouped:
        aliases = [each.id for each in grouped.models.list()]
        with pytest.raises(openai.NotFoundError) as refused:
            grouped.models.retrieve("alpha/one")

    assert {"alpha/one", "beta/one"} <= ids
    assert (one.id, one.object, one.owned_by) == ("alpha/one", "model", "alpha")
    assert aliases == ["fast-*", "smart", "vec"]
    assert refused.value.code == "model_not_found"


def test_anthropics_sdk_pages_retrieves_and_counts(stack: Stack, account: Account) -> None:
    with stack.anthropic(account) as client:
        every = [each.id for each in client.models.list(limit=1000)]
        paged = [each.id for each in client.models.list(limit=3)]
        back = client.models.list(limit=2, before_id=every[4])
        one = client.models.retrieve("beta/one")
        message: list[Any] = [{"role": "user", "content": "Count these five words."}]
        counted = client.messages.count_tokens(model="beta/one", messages=message)
        with pytest.raises(anthropic.NotFoundError) as missing:
            client.models.retrieve("no/such-model")
        with pytest.raises(anthropic.BadRequestError):
            client.models.list(after_id="no/such-model")

    assert len(every) > 6
    assert paged == every
    assert [each.id for each in back.data] == every[2:4]
    assert (one.id, one.type, one.max_tokens) == ("beta/one", "model", 1000)
    assert 5 <= counted.input_tokens <= 40
    assert isinstance(missing.value.body, dict)
    assert missing.value.body["error"]["type"] == "not_found_error"


def test_googles_sdk_pages_gets_and_counts(stack: Stack, account: Account) -> None:
    options: Any = {"base_url": stack.webs[0].url}
    client = genai.Client(api_key=account.api_key, http_options=options)

    paged = [each.name for each in client.models.list(config={"page_size": 3})]
    one = client.models.get(model="models/alpha/one")
    counted = client.models.count_tokens(model="alpha/one", contents="Count these five words.")
    client.close()
    with stack.http(account) as plain:
        every = [each["name"] for each in plain.get("/v1beta/models").json()["models"]]
        bad = plain.get("/v1beta/models?pageToken=!")

    assert paged == every
    assert (one.name, one.input_token_limit) == ("models/alpha/one", 8192)
    assert "generateContent" in (one.supported_actions or [])
    assert counted.total_tokens is not None
    assert 5 <= counted.total_tokens <= 40
    assert bad.status_code == 400


def test_ollamas_sdk_lists_shows_and_asks_what_runs(stack: Stack, account: Account) -> None:
    headers = {"authorization": f"Bearer {account.api_key}"}
    client = ollama.Client(host=stack.webs[0].url, headers=headers)

    listed = client.list().models
    shown = client.show("alpha/one")
    running = client.ps().models
    with pytest.raises(ollama.ResponseError) as missing:
        client.show("no/such-model")
    again = client.list().models

    assert {"alpha/one", "beta/one"} <= {each.model for each in listed}
    assert [each.digest for each in listed] == [each.digest for each in again]
    assert set(shown.capabilities or []) == {"completion", "tools"}
    assert (shown.modelinfo or {})["one.context_length"] == 8192
    assert list(running) == []
    assert missing.value.status_code == 404


def test_counting_takes_a_request_of_the_limits_and_no_tokens(stack: Stack) -> None:
    account = stack.new_account("0.50", concurrent=1)

    with stack.http(account) as client:
        answers = [
            client.post("/v1/messages/count_tokens", json={"model": "beta/one", **PROMPT})
            for _ in range(3)
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["input_tokens"] for answer in answers}) == 1
