"""Every billed route passes one admission, before anything reaches an upstream."""

import time
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver

from ccapi.urls import urlpatterns
from gateway.routes import ROUTES
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

BODY: dict[str, Any] = {
    "model": "alpha/one",
    "messages": [{"role": "user", "content": "Hi."}],
    "max_tokens": 500,
}
# Paths of Django that call no upstream and cost nothing.
UNBILLED = (
    *("admin/", "models", "providers", "credits", "generations", "groups", "keys", "usage"),
    *("schema", "docs", "login", "logout"),
    # What was paid for already: jobs, their files, and those who are told of them.
    *("images/jobs", "media/artefacts", "media/notify", "webhooks/"),
)

# What a protocol asks with where it does not use `messages`.
OWN: dict[str, dict[str, Any]] = {
    "ollama_generate": {"prompt": "Hi."},
    "openai_responses": {"input": "Hi."},
    "openai_speech": {"model": "alpha/voice", "input": "Hi.", "voice": "alloy"},
    **{
        name: {"model": "alpha/vectors", "input": "Hi."}
        for name in ("openai_embeddings", "ollama_embed", "ollama_embeddings")
    },
}


def asked(path: str, *, streamed: bool = False) -> dict[str, Any]:
    return {**BODY, **OWN.get(ROUTES[path].codec.name, {}), "stream": streamed}


@pytest.mark.parametrize("path", sorted(ROUTES))
@pytest.mark.parametrize("streamed", [False, True])
def test_every_chat_route_refuses_an_empty_wallet_before_the_upstream(
    stack: Stack, upstream: Upstream, path: str, streamed: bool
) -> None:
    broke = stack.account("0.000001")

    with stack.http(broke) as client:
        answer = client.post(path, json=asked(path, streamed=streamed))

    assert answer.status_code == 402, answer.text
    assert answer.headers["x-should-retry"] == "false"
    assert upstream.count() == 0
    assert not stack.rows(
        "SELECT 1 FROM hold JOIN organization o ON o.id = organization_id WHERE public_id = %s",
        broke.organization,
    )


def test_django_serves_nothing_that_is_billed() -> None:
    def paths(patterns: list[Any], prefix: str = "") -> list[str]:
        found = []
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                if not str(pattern.pattern).startswith("admin"):
                    found += paths(pattern.url_patterns, prefix + str(pattern.pattern))
            elif isinstance(pattern, URLPattern):
                found.append(prefix + str(pattern.pattern))
        return found

    served = paths(urlpatterns)

    assert served
    for path in served:
        bare = path.removeprefix("v1/")
        assert not bare or bare.startswith(UNBILLED), (
            f"{path} is neither admitted by the walk nor unbilled"
        )


def test_a_402_tells_its_numbers(stack: Stack) -> None:
    account = stack.account("0.0003")
    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json={**BODY, "max_tokens": 1000})

    error = answer.json()["error"]

    assert answer.status_code == 402
    assert error["type"] == "billing_error"
    assert error["code"] in ("request_exceeds_balance", "insufficient_credits")
    details = error["details"]
    assert details["available"] == "0.0003"
    assert details["held"] == "0.00"
    assert float(details["required"]) > 0.0003
    assert details["top_up_url"] == "https://example.com/top-up"
    # About 1,100 bytes of input bound at one dollar a million leave nothing for 1,000 tokens.
    assert details["affordable_max_tokens"] < 1000


def test_a_request_without_a_maximum_is_fitted_to_the_wallet(
    stack: Stack, upstream: Upstream
) -> None:
    upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, transcripts.answer("hello"))))
    account = stack.account("0.0025")
    body = {"model": "alpha/one", "messages": BODY["messages"]}

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json=body)

    applied = int(answer.headers["x-ccapi-max-tokens-applied"])
    assert answer.status_code == 200
    assert 256 <= applied < 1000
    sent = upstream.requests[0].json()
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == applied
    stack.wait_for_no_holds()
    stack.audit()


def test_a_free_model_answers_an_empty_wallet_through_the_same_door(
    stack: Stack, upstream: Upstream
) -> None:
    upstream.on("alpha-free", reply(body=transcripts.body(OPENAI, transcripts.answer("hello"))))
    account = stack.account("0.000001")

    with stack.http(account) as client:
        answer = client.post("/v1/chat/completions", json={**BODY, "model": "alpha/free"})

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ccapi-cost"] == "0"
    receipt = stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert float(receipt["cost"]) == 0


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_wrong_requests_get_clear_errors_in_the_routes_protocol(
    stack: Stack, account: Account, path: str
) -> None:
    with stack.http(account) as client:
        got = client.get(path)
        not_json = client.post(path, content=b"{nope")
        not_object = client.post(path, content=b"[]")
        deep = client.post(path, content=b'{"messages":' + b"[" * 100_000)
        nothing = client.post(path, json={"max_tokens": 5})
        wrong_field = {"embedding": "dimensions", "audio": "speed"}.get(ROUTES[path].kind, "stream")
        wrong_type = client.post(path, json={**asked(path), wrong_field: "hot"})
        large = client.post(path, content=b"x" * (33 * 1024 * 1024))
    with stack.http(None) as nobody:
        unknown = nobody.post(path, json=BODY)

    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    for answer in (not_json, not_object, deep, nothing, wrong_type):
        assert answer.status_code == 400, answer.text
    assert large.status_code == 413
    assert unknown.status_code == 401
    for answer in (got, not_json, deep, nothing, wrong_type, large, unknown):
        told = answer.json()
        match ROUTES[path].codec.name:
            case "anthropic":
                assert told["type"] == "error"
                assert told["error"]["message"]
            case name if name.startswith("ollama"):
                assert told["error"]
                assert told["code"]
            case _:
                assert told["error"]["message"]
                assert told["error"]["code"]
        assert answer.headers["x-request-id"].startswith("req_")


def test_a_key_revoked_stops_acting_within_a_second_in_every_process(
    stack: Stack, upstream: Upstream
) -> None:
    upstream.on("alpha-one", reply(body=transcripts.body(OPENAI, transcripts.answer("hello"))))
    account = stack.account()
    clients = [stack.http(account, web) for web in stack.webs]
    before = [client.post("/v1/chat/completions", json=BODY).status_code for client in clients]

    stack.rows(
        "UPDATE api_key SET revoked_at = now() FROM organization o"
        " WHERE o.id = organization_id AND o.public_id = %s RETURNING 1",
        account.organization,
    )
    time.sleep(1.2)
    after = [client.post("/v1/chat/completions", json=BODY) for client in clients]

    assert before == [200] * len(clients)
    assert [answer.status_code for answer in after] == [401] * len(clients)
    assert after[0].json()["error"]["code"] == "key_revoked"
    for client in clients:
        client.close()


def test_a_price_change_acts_within_a_second_and_leaves_old_receipts_alone(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-two", reply(body=transcripts.body(OPENAI, transcripts.answer("hello"))))
    body = {**BODY, "model": "alpha/two"}
    with stack.http(account) as client:
        first = client.post("/v1/chat/completions", json=body)
        stack.python(
            "-c",
            "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'ccapi.settings';"
            "django.setup();"
            "from catalog.api import import_document;"
            "from tests.e2e.prepare import model;"
            "dearer = {'input': '3', 'output': '4'};"
            "import_document({'models': [model('alpha/two', prices=dearer)]})",
        )
        time.sleep(1.2)
        second = client.post("/v1/chat/completions", json=body)

    assert first.headers["x-ccapi-cost"] == "0.00002"
    assert second.headers["x-ccapi-cost"] == "0.00005"
    stack.wait_for_no_holds()
    receipt = stack.generation(account, first.headers["x-ccapi-generation-id"])
    assert receipt["cost"] == "0.00002"
    stack.audit()


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/chat/completions", "service_tier", "priority"),
        ("/v1/chat/completions", "service_tier", "flex"),
        ("/v1/messages", "speed", "fast"),
        ("/v1/messages", "inference_geo", "us"),
    ],
)
def test_what_a_provider_bills_at_another_price_is_refused_by_name(
    stack: Stack, upstream: Upstream, account: Account, path: str, field: str, value: str
) -> None:
    with stack.http(account) as client:
        answer = client.post(path, json={**BODY, field: value})

    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]
    assert upstream.count() == 0
