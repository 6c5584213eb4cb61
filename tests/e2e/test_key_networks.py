"""Keys that are good from some addresses alone: over real HTTP, behind a proxy and without one."""

import time

import httpx2
import pytest

from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import reply
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

CHAT = {"model": "alpha/one", "messages": [{"role": "user", "content": "Say hi."}]}
ELSEWHERE, OFFICE = "198.51.100.9", "203.0.113.7"


@pytest.fixture(autouse=True)
def answering(stack: Stack, upstream: Upstream) -> None:
    said = reply(body=transcripts.body(OPENAI, transcripts.answer("hi")))
    upstream.on("alpha-one", *[said] * 200)


@pytest.fixture(scope="module")
def proxied(shared_stack: Stack) -> Web:
    """A web process that believes whoever connects from this machine: its proxy."""
    return shared_stack.web(CCAPI_TRUSTED_PROXIES="127.0.0.1")


def bound(stack: Stack, account: Account, *networks: str) -> tuple[str, str]:
    """A new key for these networks: its id and its secret."""
    body = {"name": "bound", "allowed_ips": list(networks)}
    with stack.http(account) as client:
        made = client.post("/v1/keys", json=body)
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["key"]


def ask(web: Web, secret: str, *forwarded: str, path: str = "/v1/chat/completions") -> str:
    """200, or the code of the refusal. `forwarded` are X-Forwarded-For headers."""
    headers = [("authorization", f"Bearer {secret}")]
    headers += [("x-forwarded-for", each) for each in forwarded]
    body = CHAT if path.endswith("completions") else None
    answer = httpx2.request(
        "POST" if body else "GET", web.url + path, json=body, headers=headers, timeout=10
    )
    return "200" if answer.status_code == 200 else _refused(answer)


def _refused(answer: httpx2.Response) -> str:
    told = answer.json()
    # Ollama's clients get the words alone, and our code beside them.
    code = told["code"] if isinstance(told["error"], str) else told["error"]["code"]
    return f"{answer.status_code} {code}"


# The walk, a free route and REST each authenticate in their own way.
PATHS = ("/v1/chat/completions", "/api/tags", "/credits")
REFUSED = "403 ip_not_allowed"


@pytest.mark.parametrize("path", PATHS)
def test_a_key_is_good_from_its_networks_alone(stack: Stack, account: Account, path: str) -> None:
    web = stack.webs[0]
    _, here = bound(stack, account, "10.0.0.0/8", "127.0.0.0/8")
    _, there = bound(stack, account, "10.0.0.0/8", "2001:db8::/32")

    assert ask(web, here, path=path) == "200"
    assert ask(web, there, path=path) == REFUSED


@pytest.mark.parametrize("path", PATHS)
def test_nobody_talks_themselves_into_a_network(stack: Stack, account: Account, path: str) -> None:
    _, secret = bound(stack, account, OFFICE)

    assert ask(stack.webs[0], secret, OFFICE, path=path) == REFUSED
    assert ask(stack.webs[0], secret, f"{OFFICE}, 127.0.0.1", path=path) == REFUSED


@pytest.mark.parametrize("path", PATHS)
def test_our_proxy_tells_who_asks_and_what_a_client_has_put_before_counts_for_nothing(
    stack: Stack, account: Account, proxied: Web, path: str
) -> None:
    _, secret = bound(stack, account, "203.0.113.0/24")

    assert ask(proxied, secret, OFFICE, path=path) == "200"
    assert ask(proxied, secret, f"{ELSEWHERE}, {OFFICE}", path=path) == "200"
    assert ask(proxied, secret, ELSEWHERE, path=path) == REFUSED
    assert ask(proxied, secret, f"{OFFICE}, {ELSEWHERE}", path=path) == REFUSED
    assert ask(proxied, secret, OFFICE, ELSEWHERE, path=path) == REFUSED
    assert ask(proxied, secret, path=path) == REFUSED  # the proxy itself


def test_the_answer_from_one_address_is_not_remembered_for_another(
    stack: Stack, account: Account, proxied: Web
) -> None:
    _, secret = bound(stack, account, OFFICE)

    said = [ask(proxied, secret, place) for place in (OFFICE, ELSEWHERE, OFFICE, ELSEWHERE)]

    assert said == ["200", REFUSED, "200", REFUSED]


def test_a_change_acts_within_a_second_in_every_process(stack: Stack, account: Account) -> None:
    key, secret = bound(stack, account)
    before = [ask(web, secret) for web in stack.webs[:2]]
    with stack.http(account) as client:
        changed = client.patch(f"/v1/keys/{key}", json={"allowed_ips": [OFFICE]})
    time.sleep(1.0)

    assert changed.json()["allowed_ips"] == [f"{OFFICE}/32"]
    assert before == ["200", "200"]
    assert [ask(web, secret) for web in stack.webs[:2]] == [REFUSED, REFUSED]


def test_claudes_clients_are_told_in_their_own_words(stack: Stack, account: Account) -> None:
    _, secret = bound(stack, account, OFFICE)
    body = {"model": "alpha/one", "max_tokens": 9, "messages": CHAT["messages"]}

    answer = httpx2.post(
        f"{stack.webs[0].url}/v1/messages", json=body, headers={"x-api-key": secret}
    )

    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "permission_error"
    assert "127.0.0.1" in answer.json()["error"]["message"]
