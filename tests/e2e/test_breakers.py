"""Circuit breakers over two processes that share a Valkey: what one learns, the other goes by."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import msgspec
import pytest

from gateway.routing.sharing import CHANNEL, STATE_KEY
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer
from tests.e2e import prepare
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import Script, reply
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

GOOD = transcripts.body(OPENAI, transcripts.answer("Hello."))
OVERLOADED = reply(*transcripts.error(OPENAI, "overloaded"))
HEARD_S = 0.3  # until the other process knows, also where three suites share two cores
NOT_FOUND = reply(*transcripts.error(OPENAI, "not_found"))  # out for three seconds and more
KEYS = ["upstream-secret-first", "upstream-secret-second"]
# One model a test, so that none meets what another has left.
MODELS = ("shared", "probe", "alone", "rest", "empty", "reset", "before", "after")


class Duo(msgspec.Struct, frozen=True):
    """Two web processes with their breakers on."""

    stack: Stack
    account: Account
    webs: tuple[Web, ...]
    flapping: Upstream
    valkey: ValkeyServer

    def ask(self, web: Web, *models: str, path: str = "/v1/chat/completions") -> httpx2.Response:
        body = {"models": list(models), "messages": [{"role": "user", "content": "Hi."}]}
        if path.endswith("messages"):
            body["max_tokens"] = 10
        with self.stack.http(self.account, web) as client:
            return client.post(path, json=body)

    def open(self, web: Web, model: str, fallback: str) -> None:
        """As many failures as it takes."""
        for _ in range(5):
            assert self.ask(web, model, fallback).status_code == 200


def offer(provider: str, name: str, **fields: object) -> dict[str, object]:
    return {"provider": provider, "upstream_model": name, **fields}


def document(url: str, flapping_url: str) -> dict[str, object]:
    return {
        "providers": [
            prepare.provider("one", "openai", f"{url}/v1"),
            prepare.provider("two", "openai", f"{url}/v1"),
            prepare.provider("three", "anthropic", f"{url}/v1"),
            prepare.provider("keys", "openai", f"{url}/v1", api_key=KEYS),
            prepare.provider("flapping", "openai", f"{flapping_url}/v1"),
        ],
        "models": [
            *(prepare.model(f"one/{name}") for name in MODELS),
            prepare.model("two/good"),
            prepare.model("three/good"),
            prepare.model("keys/model"),
            prepare.model("flapping/model"),
            prepare.model("flapping/other"),
            prepare.model(
                "one/spread",
                offers=[
                    offer("one", "spread-heavy", weight=3),
                    offer("two", "spread-light", weight=1),
                    offer("three", "spread-last", priority=1, weight=100),
                ],
            ),
        ],
    }


@pytest.fixture(scope="module")
def made(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duo]:
    path: Path = tmp_path_factory.mktemp("catalog") / "breakers.yaml"
    with Upstream() as flapping, valkey_server.running() as valkey:
        path.write_text(json.dumps(document(shared_stack.upstream.url, flapping.url)))
        shared_stack.manage("catalog", "import", str(path))
        webs = tuple(
            shared_stack.web(
                REDIS_URL=valkey.url,
                CCAPI_VALKEY_HOT_S="0.3",  # other tests share this machine
                CCAPI_BREAKER_FAILURES="5",
                CCAPI_RETRY_RATIO="0.1",
            )
            for _ in range(2)
        )
        yield Duo(shared_stack, shared_stack.account(), webs, flapping, valkey)
        for web in webs:
            web.stop()


@pytest.fixture
def duo(made: Duo, upstream: Upstream) -> Duo:
    upstream.on("two-good", reply(body=GOOD))
    upstream.on("three-good", reply(body=transcripts.body(ANTHROPIC, transcripts.answer("Hello."))))
    made.flapping.reset()
    made.flapping.on(None, reply(body=GOOD))
    return made


def attempts(answer: httpx2.Response) -> str:
    return answer.headers["x-ccapi-attempts"]


@pytest.mark.parametrize(
    ("path", "fallback"), [("/v1/chat/completions", "two/good"), ("/v1/messages", "three/good")]
)
def test_what_one_process_finds_out_of_service_the_other_passes_over(
    duo: Duo, upstream: Upstream, path: str, fallback: str
) -> None:
    one, two = duo.webs
    model = "one/shared" if path.endswith("completions") else "one/reset"
    upstream.on(model.replace("/", "-"), NOT_FOUND)

    duo.open(one, model, fallback)
    time.sleep(HEARD_S)
    answer = duo.ask(two, model, fallback, path=path)

    assert answer.status_code == 200, answer.text
    assert attempts(answer) == f"{model}=skipped;{fallback}=200"
    assert upstream.count(model.replace("/", "-")) == 5
    receipt = duo.stack.generation(duo.account, answer.headers["x-ccapi-generation-id"])
    assert [(each["status"], each["model"]) for each in receipt["attempts"]] == [
        (0, model),
        (200, fallback),
    ]
    with duo.stack.http(duo.account, two) as client:
        assert client.get("/v1/providers/one").json()["status"] == "degraded"
        assert client.get("/v1/providers/two").json()["status"] == "operational"


def test_after_the_cool_down_one_request_of_all_processes_is_the_probe(
    duo: Duo, upstream: Upstream
) -> None:
    upstream.on("one-probe", OVERLOADED)
    duo.open(duo.webs[0], "one/probe", "two/good")
    upstream.on("one-probe", reply(body=GOOD, first_byte_s=0.7))
    time.sleep(1.1)

    with ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(duo.ask, duo.webs[number % 2], "one/probe", "two/good")
            for number in range(16)
        ]
        answers = [each.result() for each in asked]

    assert sorted(attempts(each) for each in answers) == [
        "one/probe=200",
        *["one/probe=skipped;two/good=200"] * 15,
    ]
    assert upstream.count("one-probe") == 5 + 1
    time.sleep(HEARD_S)
    again = [attempts(duo.ask(web, "one/probe", "two/good")) for web in duo.webs]
    assert again == ["one/probe=200"] * 2


def test_a_provider_that_flaps_is_back_within_five_seconds(duo: Duo) -> None:
    served: list[str] = []

    def ask(web: Web, model: str) -> str:
        answer = duo.ask(web, model, "two/good")
        assert answer.status_code == 200
        served.append(answer.json()["model"])
        return served[-1]

    for outage_s in (0.3, 2.5):
        duo.flapping.refuse()
        until = time.monotonic() + outage_s
        while time.monotonic() < until:
            for web in duo.webs:
                assert ask(web, "flapping/model") == "two/good"
        duo.flapping.accept()
        back = time.monotonic()
        while {ask(web, "flapping/model") for web in duo.webs} != {"flapping/model"}:
            assert time.monotonic() - back < 5.0
            time.sleep(0.02)


def test_where_nobody_accepts_connections_every_model_of_a_provider_is_out(duo: Duo) -> None:
    one, two = duo.webs
    duo.flapping.refuse()
    duo.open(one, "flapping/model", "two/good")
    time.sleep(HEARD_S)

    other = duo.ask(two, "flapping/other", "two/good")
    with duo.stack.http(duo.account, two) as client:
        status = client.get("/v1/providers/flapping").json()["status"]
    duo.flapping.accept()

    assert attempts(other) == "flapping/other=skipped;two/good=200"
    assert status == "down"


def test_an_offer_without_an_alternative_is_called_in_spite_of_its_breaker(
    duo: Duo, upstream: Upstream
) -> None:
    upstream.on("one-alone", NOT_FOUND)
    duo.open(duo.webs[0], "one/alone", "two/good")
    upstream.on("one-alone", reply(body=GOOD))

    answer = duo.ask(duo.webs[0], "one/alone")

    assert (answer.status_code, attempts(answer)) == (200, "one/alone=200")
    time.sleep(HEARD_S)
    # It has shown that it works, so it is back for everybody.
    assert attempts(duo.ask(duo.webs[1], "one/alone", "two/good")) == "one/alone=200"


def limited(seconds: str) -> Script:
    status, body = transcripts.error(OPENAI, "rate_limited")
    return reply(status, body, headers={"retry-after": seconds})


def test_a_retry_after_rests_the_offer_in_all_processes(duo: Duo, upstream: Upstream) -> None:
    one, two = duo.webs
    upstream.on("one-rest", limited("3"))
    first = duo.ask(one, "one/rest", "two/good")
    upstream.on("one-rest", reply(body=GOOD))
    time.sleep(HEARD_S)

    second = duo.ask(two, "one/rest", "two/good")
    began = time.monotonic()
    alone = duo.ask(two, "one/rest")

    assert attempts(first) == "one/rest=429;two/good=200"
    assert attempts(second) == "one/rest=skipped;two/good=200"
    # Where nobody else is left, a short rest is waited for.
    assert (alone.status_code, attempts(alone)) == (200, "one/rest=200")
    assert 1.5 < time.monotonic() - began < 4.0


def test_a_long_rest_is_told_and_not_waited_for(duo: Duo, upstream: Upstream) -> None:
    upstream.on("one-empty", limited("86400"))
    assert duo.ask(duo.webs[0], "one/empty").status_code == 429

    answer = duo.ask(duo.webs[0], "one/empty")

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "upstream_rate_limited"
    assert 20 <= int(answer.headers["retry-after"]) <= 30
    assert upstream.count("one-empty") == 1


def test_a_refused_key_gives_way_to_the_next_one_in_all_processes(
    duo: Duo, upstream: Upstream
) -> None:
    upstream.on("keys-model", reply(*transcripts.error(OPENAI, "invalid_key")), reply(body=GOOD))

    first = duo.ask(duo.webs[0], "keys/model")
    time.sleep(HEARD_S)
    for web in (*duo.webs, *duo.webs):
        assert attempts(duo.ask(web, "keys/model")) == "keys/model=200"

    assert attempts(first) == "keys/model=401;keys/model=200"
    used = [each.headers["authorization"] for each in upstream.requests]
    assert len(used) == 6
    assert used[0] != used[1]
    assert set(used[1:]) == {used[1]}


def test_offers_share_requests_by_their_weights_and_the_priority_decides_first(
    duo: Duo, upstream: Upstream
) -> None:
    for name in ("spread-heavy", "spread-light"):
        upstream.on(name, reply(body=GOOD))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda at: duo.ask(duo.webs[at % 2], "one/spread"), range(48)))

    assert {attempts(each) for each in answers} == {"one/spread=200"}
    counts = {name: upstream.count(f"spread-{name}") for name in ("heavy", "light", "last")}
    # Three to one: within five standard deviations.
    assert 21 <= counts["heavy"] <= 47
    assert counts["light"] == 48 - counts["heavy"]


def test_a_model_goes_on_at_its_next_provider_before_the_next_model(
    duo: Duo, upstream: Upstream
) -> None:
    upstream.on("spread-heavy", NOT_FOUND)
    upstream.on("spread-light", NOT_FOUND)
    upstream.on(
        "spread-last", reply(body=transcripts.body(ANTHROPIC, transcripts.answer("Hello.")))
    )

    answer = duo.ask(duo.webs[0], "one/spread", "two/good")

    assert attempts(answer) == "one/spread=404;one/spread=404;one/spread=200"
    assert answer.headers["x-ccapi-provider"] == "three"
    assert upstream.count("two-good") == 0


def test_over_a_restart_of_valkey_nothing_is_forgotten_and_news_go_round_again(
    duo: Duo, upstream: Upstream
) -> None:
    one, two = duo.webs
    for name in ("one-before", "one-after"):
        upstream.on(name, NOT_FOUND)
    duo.open(one, "one/before", "two/good")
    time.sleep(HEARD_S)

    duo.valkey.restart()
    while_back = [attempts(duo.ask(web, "one/before", "two/good")) for web in duo.webs]
    wait_until_heard(duo.valkey)
    duo.open(two, "one/after", "two/good")
    time.sleep(HEARD_S)
    later = attempts(duo.ask(one, "one/after", "two/good"))

    assert while_back == ["one/before=skipped;two/good=200"] * 2
    assert later == "one/after=skipped;two/good=200"


def wait_until_heard(valkey: ValkeyServer) -> None:
    """Until both processes listen to it, and have told it what was out of service."""
    deadline = time.monotonic() + 10.0
    with valkey.client() as client:
        while client.pubsub_numsub(CHANNEL) != [(CHANNEL.encode(), 2)] or not client.hlen(
            STATE_KEY
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
