"""Limits while Valkey restarts, is flushed, is silent or gone, under two web processes.

And the limits of the providers, which all processes share.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.core import ids
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer
from tests.e2e.limiting import CHAT, HI, answer, burst, codes, limit, rate_headers, statuses
from tests.e2e.prepare import model, provider
from tests.e2e.stack import Account, Stack
from tests.fakes.upstream import Upstream


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def own_urls(shared_stack: Stack, own_valkey: ValkeyServer) -> Iterator[list[str]]:
    """Two more web processes of the shared product, on a Valkey of their own."""
    webs = [
        shared_stack.web(REDIS_URL=own_valkey.url, CCAPI_VALKEY_HOT_S="0.3", CCAPI_LEASE_TTL_S="1")
        for _ in range(2)
    ]
    yield [web.url for web in webs]
    for web in webs:
        web.stop()


def until_shared(stack: Stack, urls: list[str], account: Account) -> None:
    """Until both processes count on Valkey again: one sees what the other took."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        left = [int(rate_headers(each)["remaining-requests"]) for each in burst(urls, [account], 2)]
        if abs(left[0] - left[1]) == 1:
            return
        time.sleep(0.05)
    raise AssertionError("not back within three seconds")


@pytest.mark.xdist_group("alone")
def test_a_restart_of_valkey_fails_no_request_and_limits_hold_after_it(
    stack: Stack,
    upstream: Upstream,
    account: Account,
    own_valkey: ValkeyServer,
    own_urls: list[str],
) -> None:
    upstream.on("alpha-one", answer())
    limited, watcher = account, stack.account()
    limit(stack, limited, rpm=5)
    limit(stack, watcher, rpm=100_000)
    assert statuses(burst(own_urls, [limited], 20)) == {200: 5, 429: 15}

    own_valkey.kill()
    without = burst(own_urls, [watcher], 20)
    own_valkey.start()
    until_shared(stack, own_urls, watcher)
    after = burst(own_urls, [limited], 20)

    assert statuses(without) == {200: 20}
    assert statuses(after) == {200: 5, 429: 15}  # a restarted Valkey has forgotten the minute


def test_a_flush_under_load_forgets_and_fails_nothing(
    stack: Stack,
    upstream: Upstream,
    account: Account,
    own_valkey: ValkeyServer,
    own_urls: list[str],
) -> None:
    upstream.on("alpha-one", answer(wait_s=0.2))
    limit(stack, account, rpm=10_000, tpm=10_000_000, concurrent=500)

    for _ in range(3):
        with own_valkey.client() as client:
            client.flushall()
            client.script_flush()
        assert statuses(burst(own_urls, [account], 40)) == {200: 40}
    stack.wait_for_no_holds()


def test_without_valkey_each_process_grants_its_share_and_no_more(
    stack: Stack,
    upstream: Upstream,
    account: Account,
    own_valkey: ValkeyServer,
    own_urls: list[str],
) -> None:
    upstream.on("alpha-one", answer())
    limit(stack, account, rpm=20)
    watcher = stack.account()
    limit(stack, watcher, rpm=100_000)
    until_shared(stack, own_urls, watcher)
    time.sleep(0.5)  # a beat: each has heard of the other

    own_valkey.kill()
    try:
        answers = burst(own_urls, [account], 60)
    finally:
        own_valkey.start()
    until_shared(stack, own_urls, watcher)

    assert statuses(answers) == {200: 20, 429: 40}
    assert codes(answers) == {"requests_per_minute"}
    assert {rate_headers(each)["limit-requests"] for each in answers} == {"20"}


@pytest.mark.xdist_group("alone")
def test_a_silent_valkey_slows_the_first_requests_only(
    stack: Stack,
    upstream: Upstream,
    account: Account,
    own_valkey: ValkeyServer,
    own_urls: list[str],
) -> None:
    upstream.on("alpha-one", answer())
    limit(stack, account, rpm=100_000)
    until_shared(stack, own_urls, account)

    with own_valkey.paused():
        first = burst(own_urls, [account], 10)
        began = time.monotonic()
        rest = burst(own_urls, [account], 10)
        took_s = time.monotonic() - began
    until_shared(stack, own_urls, account)

    assert statuses(first) == statuses(rest) == {200: 10}
    assert all(each.elapsed.total_seconds() < 2 for each in first)
    assert took_s < 1


def grant(stack: Stack, upstream: Upstream, tmp_path: Path, **limits: int) -> str:
    """A provider that grants so much, with one model; its id. Known to all within a second."""
    name = f"granted-{ids.uuid7().hex}"
    document = {
        "providers": [provider(name, "openai", f"{upstream.url}/v1", limits=limits)],
        "models": [model(f"{name}/one")],
    }
    path = tmp_path / "granted.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    stack.manage("catalog", "import", str(path))
    time.sleep(1.2)  # every process looks each second
    return f"{name}/one"


def test_what_a_provider_grants_is_never_exceeded_and_the_rest_goes_to_the_next(
    stack: Stack, upstream: Upstream, account: Account, tmp_path: Path
) -> None:
    granted = grant(stack, upstream, tmp_path, rpm=5)
    name = granted.replace("/", "-")
    upstream.on(name, answer())
    upstream.on("gamma-one", answer())
    urls = [web.url for web in stack.webs[:2]]

    both = burst(urls, [account], 16, model=granted, models=["gamma/one"])
    alone = burst(urls, [account], 4, model=granted)

    assert statuses(both) == {200: 16}
    assert upstream.count(name) == 5
    assert upstream.count("gamma-one") == 11
    assert statuses(alone) == {429: 4}
    assert codes(alone) == {"upstream_rate_limited"}
    assert all(10 <= int(each.headers["retry-after"]) <= 12 for each in alone)
    stack.wait_for_no_holds()


def test_a_provider_that_is_busy_for_a_moment_is_waited_for(
    stack: Stack, upstream: Upstream, account: Account, tmp_path: Path
) -> None:
    granted = grant(stack, upstream, tmp_path, concurrent=2)
    name = granted.replace("/", "-")
    upstream.on(name, answer(wait_s=0.4))
    urls = [web.url for web in stack.webs[:2]]

    answers = burst(urls, [account], 4, model=granted)

    assert statuses(answers) == {200: 4}
    assert upstream.count(name) == 4
    with stack.http(account) as client:
        upstream.on(name, answer())
        for _ in range(6):  # places come back after each
            body = {"model": granted, "messages": HI}
            assert client.post(CHAT, json=body).status_code == 200
