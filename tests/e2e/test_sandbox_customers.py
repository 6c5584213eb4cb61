"""The sandbox as a customer meets it: through the gateway, with a key and the official SDKs."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anthropic
import msgspec
import openai
import pytest

from catalog.types import SANDBOXES
from gateway.sandbox.scenarios import SCENARIOS, told
from tests.e2e.stack import Account, Stack, Web
from tests.fakes.sandbox import sandbox

TEXT = "one two three four"
# In place of the numbers that a test would have to wait for, and beside them.
NUMBERED = {
    "slow-first-byte:1": ("200", "200"),
    "stall:1": ("200", "200"),
    "cut-midstream:2": ("502 upstream_error", "event upstream_error"),
    "server-error:503": ("503 upstream_overloaded", "503 upstream_overloaded"),
    "invalid-request:422": ("422", "422"),
    "rate-limited:60": ("429 upstream_rate_limited", "429 upstream_rate_limited"),
    "context-length:50": ("200", "200"),
    "content-filter:2": ("200", "200"),
    "echo:1": ("404 model_not_found", "404 model_not_found"),  # it takes no number
}
# `endless` ends when its client leaves; the 30 seconds of `slow-first-byte` are a wait too long.
PATIENT = {"slow-first-byte", "endless"}
CASES = {name: told(name) for name in SCENARIOS if name not in PATIENT} | NUMBERED
# Clients of Anthropic's protocol know other statuses, and their providers say overload as such.
STATUSES = {502: 500, 503: 529}


class Shop(msgspec.Struct, frozen=True):
    """The shared product with the seed catalog in it, and the sandbox as `serve` starts it."""

    stack: Stack
    web: Web
    account: Account
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic


@pytest.fixture(scope="module")
def shop(shared_stack: Stack) -> Iterator[Shop]:
    with sandbox() as url:
        shared_stack.seed(url)
        web = shared_stack.web(CCAPI_BREAKER_FAILURES="5", CCAPI_RETRY_RATIO="0.1")
        try:
            account = shared_stack.account()
            sdks = shared_stack.openai(account, web), shared_stack.anthropic(account, web)
            yield Shop(shared_stack, web, account, *sdks)
        finally:
            web.stop()


def openai_gets(shop: Shop, name: str, *, stream: bool, provider: str = "sandbox") -> str:
    """What the SDK makes of it: 200, or the error that it raises."""
    try:
        answer = shop.openai.chat.completions.create(
            model=f"{provider}/{name}",
            messages=[{"role": "user", "content": TEXT}],
            stream=stream,
        )
        if isinstance(answer, openai.Stream):
            for _ in answer:
                pass
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.code or ''}".strip()
    except openai.APIError as error:
        return f"event {error.code}"
    return "200"


def anthropic_gets(shop: Shop, name: str, *, stream: bool) -> str:
    try:
        answer = shop.anthropic.messages.create(
            model=f"sandbox-anthropic/{name}",
            messages=[{"role": "user", "content": TEXT}],
            max_tokens=100,
            stream=stream,
        )
        if isinstance(answer, anthropic.Stream):
            for _ in answer:
                pass
    except anthropic.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        code = body.get("error", {}).get("details", {}).get("error_code", "")
        # An error event keeps the status of its stream.
        return f"{'event' if error.status_code == 200 else error.status_code} {code}".strip()
    return "200"


@pytest.fixture(scope="module")
def got(shop: Shop) -> dict[tuple[str, str, bool], str]:
    """What customers of both SDKs get of every model, whole and streamed; all of them at once."""
    asked = [
        (sdk, name, stream)
        for name in CASES
        for stream in (False, True)
        for sdk in ("openai", "anthropic")
        if (sdk, name) != ("anthropic", "priced")
    ]

    def ask(case: tuple[str, str, bool]) -> str:
        sdk, name, stream = case
        gets = openai_gets if sdk == "openai" else anthropic_gets
        return gets(shop, name, stream=stream)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_openai_sdk_gets_what_the_page_says(
    got: dict[tuple[str, str, bool], str], name: str
) -> None:
    assert (got["openai", name, False], got["openai", name, True]) == CASES[name]


@pytest.mark.parametrize("name", [name for name in CASES if name != "priced"])
def test_the_anthropic_sdk_gets_the_same_in_its_own_terms(
    got: dict[tuple[str, str, bool], str], name: str
) -> None:
    expected = CASES[name]
    if name == "error-midstream":  # Anthropic's error says that it is an overload
        expected = ("503 upstream_overloaded", "event upstream_overloaded")
    for stream, said in zip((False, True), expected, strict=True):
        status, _, code = said.partition(" ")
        if status in ("400", "404"):
            code = ""  # in the provider's words, which have none
        if status != "event":
            status = str(STATUSES.get(int(status), int(status)))
        assert got["anthropic", name, stream] == f"{status} {code}".strip()


def test_what_customers_test_puts_nothing_out_of_service(
    shop: Shop, got: dict[tuple[str, str, bool], str]
) -> None:
    with shop.stack.http(shop.account, shop.web) as client:
        status = {name: client.get(f"/v1/providers/{name}").json()["status"] for name in PROVIDERS}
        asked = client.post(
            "/v1/chat/completions", json=body("sandbox/server-error", "sandbox/echo")
        )

    assert got["openai", "invalid-key", False].startswith("502")
    assert status == dict.fromkeys(PROVIDERS, "operational")
    attempts = "sandbox/server-error=500;sandbox/server-error=500;sandbox/echo=200"
    assert asked.headers["x-ccapi-attempts"] == attempts
    assert shop.stack.rows("SELECT 1 FROM alert WHERE subject = ANY(%s)", list(PROVIDERS)) == []


@pytest.fixture(scope="module")
def got_elsewhere(shop: Shop) -> dict[tuple[str, str, bool], str]:
    """What the OpenAI SDK gets of every model where the provider speaks another protocol."""
    asked = [
        (provider, name, stream)
        for provider in ELSEWHERE
        for name in ELSEWHERE_CASES
        for stream in (False, True)
    ]

    def ask(case: tuple[str, str, bool]) -> str:
        provider, name, stream = case
        return openai_gets(shop, name, stream=stream, provider=provider)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


ELSEWHERE = ("sandbox-responses", "sandbox-gemini", "sandbox-ollama")
# Waits are as long in every protocol: seen above.
ELSEWHERE_CASES = {
    name: gets
    for name, gets in CASES.items()
    if name.partition(":")[0] not in ("priced", "stall", "slow-first-byte")
}


@pytest.mark.parametrize("provider", ELSEWHERE)
@pytest.mark.parametrize("name", ELSEWHERE_CASES)
def test_every_protocols_sandbox_gets_the_customer_the_same(
    got_elsewhere: dict[tuple[str, str, bool], str], provider: str, name: str
) -> None:
    expected = DIFFERENT.get((provider, name), ELSEWHERE_CASES[name])

    assert (got_elsewhere[provider, name, False], got_elsewhere[provider, name, True]) == expected


# Where the provider speaks another protocol, a wrong request is told in our words, not in its own.
OURS = ("400 invalid_parameter", "400 invalid_parameter")
# What breaks these off in the middle is an overload, and they say so.
OVERLOADED = ("503 upstream_overloaded", "event upstream_overloaded")
DIFFERENT = {
    **{
        (provider, name): OURS
        for provider in ELSEWHERE
        for name in ("invalid-request", "invalid-request:422", "content-filter")
    },
    ("sandbox-gemini", "error-midstream"): OVERLOADED,
    ("sandbox-ollama", "error-midstream"): OVERLOADED,
}
PROVIDERS = tuple(SANDBOXES)


def body(*models: str) -> dict[str, object]:
    return {"models": list(models), "messages": [{"role": "user", "content": TEXT}]}


def test_a_failover_within_one_model_can_be_watched(shop: Shop) -> None:
    served: Counter[str] = Counter()

    with shop.stack.http(shop.account, shop.web) as client:
        for _ in range(24):
            answer = client.post("/v1/chat/completions", json=body("sandbox/failover"))
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
            tried = answer.headers["x-ccapi-attempts"].split(";")
            assert [each.partition("=")[2] for each in tried] == ["500", "500", "200"]
            served[answer.headers["x-ccapi-provider"]] += 1
        receipt = client.get(f"/v1/generations/{answer.headers['x-ccapi-generation-id']}").json()

    # Three to one: within five standard deviations.
    assert 8 <= served["sandbox"] <= 24
    assert [(each["provider"], each["status"], each["cost"]) for each in receipt["attempts"]] == [
        ("sandbox", 500, "0"),
        ("sandbox", 500, "0"),
        (answer.headers["x-ccapi-provider"], 200, "0"),
    ]


def test_a_model_with_a_number_is_its_model_on_the_receipt_and_to_the_key(shop: Shop) -> None:
    with shop.stack.http(shop.account, shop.web) as client:
        made = client.post("/v1/keys", json={"name": "one", "allowed_models": ["sandbox/stall"]})
        client.headers["authorization"] = f"Bearer {made.json()['key']}"
        may = client.post("/v1/chat/completions", json=body("sandbox/stall:0"))
        may_not = client.post("/v1/chat/completions", json=body("sandbox/cut-midstream:0"))

    assert (may.status_code, may.json()["model"]) == (200, "sandbox/stall")
    assert may.headers["x-ccapi-model"] == "sandbox/stall"
    assert may_not.json()["error"]["code"] == "model_not_allowed"
