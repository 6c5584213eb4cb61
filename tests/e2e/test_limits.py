"""Limits over two web processes: exact, told in both protocols, given back, changed at once."""

import contextlib
import time

import anthropic
import httpx2
import openai
import pytest

from tests.e2e.limiting import (
    CHAT,
    HI,
    MESSAGES,
    answer,
    burst,
    codes,
    limit,
    limit_newest_key,
    rate_headers,
    second_key,
    slow_stream,
    statuses,
)
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import reply
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream


@pytest.fixture
def urls(stack: Stack) -> list[str]:
    return [web.url for web in stack.webs[:2]]


@pytest.mark.parametrize(("path", "model"), [(CHAT, "alpha/one"), (MESSAGES, "beta/one")])
def test_exactly_so_many_requests_a_minute_pass_two_processes(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str], path: str, model: str
) -> None:
    name = model.replace("/", "-")
    upstream.on(name, answer(protocol=path))
    limit(stack, account, rpm=7)

    answers = burst(urls, [account], 40, path=path, model=model)

    assert statuses(answers) == {200: 7, 429: 33}
    assert upstream.count(name) == 7
    for refused in answers:
        headers = rate_headers(refused)
        assert headers["limit-requests"] == "7"
        assert "limit-tokens" not in headers
        if refused.status_code == 429:
            assert headers["remaining-requests"] == "0"
            assert 1 <= int(refused.headers["retry-after"]) <= 9
    remaining = {
        rate_headers(each)["remaining-requests"] for each in answers if each.status_code == 200
    }
    assert remaining == {str(left) for left in range(7)}
    stack.wait_for_no_holds()


def test_openai_s_sdk_sees_a_rate_limit_with_its_headers(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", answer())
    limit(stack, account, rpm=1)
    with stack.openai(account) as client:
        client.chat.completions.create(
            model="alpha/one", messages=[{"role": "user", "content": "Hi."}]
        )

        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(
                model="alpha/one", messages=[{"role": "user", "content": "Hi."}], stream=True
            )

    assert refused.value.code == "requests_per_minute"
    assert refused.value.type == "rate_limit_error"
    assert 50 <= int(refused.value.response.headers["retry-after"]) <= 60
    assert refused.value.response.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.value.response.headers["x-request-id"]


def test_anthropic_s_sdk_sees_a_rate_limit_with_its_headers(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("beta-one", answer(protocol=MESSAGES))
    limit(stack, account, rpm=1)
    with stack.anthropic(account) as client:
        client.messages.create(
            model="beta/one", max_tokens=10, messages=[{"role": "user", "content": "Hi."}]
        )

        with pytest.raises(anthropic.RateLimitError) as refused:
            client.messages.create(
                model="beta/one", max_tokens=10, messages=[{"role": "user", "content": "Hi."}]
            )

    body = refused.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "rate_limit_error"
    assert "1 requests a minute" in body["error"]["message"]
    assert 50 <= int(refused.value.response.headers["retry-after"]) <= 60
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_key_s_limit_holds_beside_its_organization_s(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    upstream.on("alpha-one", answer())
    other = second_key(stack, account)
    limit(stack, account, rpm=5)
    limit_newest_key(stack, account, rpm=2)

    limited = burst(urls, [other], 10)
    rest = burst(urls, [account], 10)

    assert statuses(limited) == {200: 2, 429: 8}
    assert {
        each.json()["error"]["details"]["scope"] for each in limited if each.status_code == 429
    } == {"key"}
    # What the key's limit refused took nothing of the organization's.
    assert statuses(rest) == {200: 3, 429: 7}
    assert {
        each.json()["error"]["details"]["scope"] for each in rest if each.status_code == 429
    } == {"organization"}


def test_tokens_are_reserved_while_a_request_runs_and_corrected_after(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    upstream.on("alpha-one", answer((10, 5), wait_s=0.5))
    limit(stack, account, tpm=1_000)

    for _ in range(3):
        at_once = burst(urls, [account], 6, max_tokens=700)
        assert statuses(at_once) == {200: 1, 429: 5}
        assert codes(at_once) == {"tokens_per_minute"}
        stack.wait_for_no_holds()
    upstream.on("alpha-one", answer((5_000, 5)))
    (dear,) = burst(urls, [account], 1)
    (after,) = burst(urls, [account], 1)

    assert dear.status_code == 200
    assert after.status_code == 429
    assert int(after.headers["retry-after"]) > 200
    assert rate_headers(after)["remaining-tokens"] == "0"


def test_more_than_a_minute_s_tokens_are_refused_with_what_to_do(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    limit(stack, account, tpm=500)

    (refused,) = burst(urls, [account], 1, max_tokens=501)

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "tokens_per_minute"
    assert "Lower max_tokens" in refused.json()["error"]["message"]
    assert upstream.count() == 0


def test_exactly_so_many_streams_run_at_once_and_their_places_come_back(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    upstream.on("alpha-one", slow_stream(6, 0.1))
    limit(stack, account, concurrent=3)

    for _ in range(2):
        answers = burst(urls, [account], 20, stream=True)

        assert statuses(answers) == {200: 3, 429: 17}
        assert codes(answers) == {"concurrent_requests"}
        assert all(each.headers["retry-after"] for each in answers if each.status_code == 429)
        stack.wait_for_no_holds()


def test_a_client_that_leaves_frees_its_place_at_once(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    limit(stack, account, concurrent=1)
    for model in ("alpha/one", "drains/one"):
        upstream.on(model.replace("/", "-"), slow_stream(60, 0.1))
        upstream.on("gamma-one", answer())
        body = {"model": model, "messages": HI, "stream": True}
        with stack.http(account) as client:
            with client.stream("POST", CHAT, json=body) as streaming:
                pieces = streaming.iter_bytes()
                next(pieces)
                busy = client.post(CHAT, json={"model": "gamma/one", "messages": HI})
            left = time.monotonic()
            free = busy
            while free.status_code == 429 and time.monotonic() - left < 1.0:
                time.sleep(0.02)
                free = client.post(CHAT, json={"model": "gamma/one", "messages": HI})

        assert busy.status_code == 429
        assert free.status_code == 200
        assert time.monotonic() - left < 1.2  # the lease itself would last for two seconds


def test_places_held_by_a_killed_process_come_back(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    upstream.on("alpha-one", slow_stream(100, 0.1))
    upstream.on("gamma-one", answer())
    limit(stack, account, concurrent=1)
    doomed = stack.web()
    body = {"model": "alpha/one", "messages": HI, "stream": True}
    with (
        stack.http(account, doomed) as on_doomed,
        stack.http(account) as client,
        contextlib.ExitStack() as cleanup,
    ):
        cleanup.callback(doomed.kill)
        streaming = on_doomed.send(on_doomed.build_request("POST", CHAT, json=body), stream=True)
        time.sleep(2.2)  # longer than a lease lives by itself
        busy = client.post(CHAT, json={"model": "gamma/one", "messages": HI})
        doomed.kill()
        killed = time.monotonic()
        free = busy
        while free.status_code == 429 and time.monotonic() - killed < 6:
            time.sleep(0.05)
            free = client.post(CHAT, json={"model": "gamma/one", "messages": HI})

        assert busy.status_code == 429
        assert free.status_code == 200
        assert time.monotonic() - killed < 3.5
        with pytest.raises(httpx2.RemoteProtocolError):
            streaming.read()
    stack.wait_for_no_holds()


def test_every_metered_answer_tells_the_limits(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    limit(stack, account, rpm=100, tpm=100_000, concurrent=50)
    upstream.on("alpha-one", answer())
    upstream.on("gamma-one", slow_stream(2, 0))
    upstream.on("alpha-two", reply(400, b'{"error":{"message":"no"}}'))
    upstream.on("alpha-large", *[reply(*transcripts.error(OPENAI, "overloaded"))])
    dear = {"model": "alpha/output-only", "n": 128}

    with stack.http(account) as client:
        answers = [
            client.post(CHAT, json={"messages": HI, "max_tokens": 10, **body})
            for body in (
                {"model": "alpha/one"},
                {"model": "gamma/one", "stream": True},
                {"model": "alpha/two"},
                {"model": "alpha/large"},
                dear,
            )
        ]

    assert [each.status_code for each in answers] == [200, 200, 400, 503, 402]
    for each in answers:
        assert set(rate_headers(each)) == {
            f"{what}-{of}"
            for what in ("limit", "remaining", "reset")
            for of in ("requests", "tokens")
        }
        assert rate_headers(each)["limit-tokens"] == "100000"
        # Each tells every limit once.
        names = [name for name, _ in each.headers.multi_items()]
        assert names.count("x-ratelimit-limit-requests") == 1
    # What was refused for money or failed upstream has given its tokens back.
    with stack.http(account) as client:
        last = client.post(CHAT, json={"model": "alpha/one", "messages": HI, "max_tokens": 10})
    assert int(rate_headers(last)["remaining-tokens"]) > 99_000


def test_without_limits_nothing_is_told(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    upstream.on("alpha-one", answer())

    answers = burst(urls, [account], 30)

    assert statuses(answers) == {200: 30}
    assert not any(rate_headers(each) for each in answers)


def test_a_changed_limit_acts_within_a_second(
    stack: Stack, upstream: Upstream, account: Account, urls: list[str]
) -> None:
    upstream.on("alpha-one", answer())
    assert statuses(burst(urls, [account], 4)) == {200: 4}

    limit(stack, account, rpm=2)
    time.sleep(1.0)
    assert statuses(burst(urls, [account], 6)) == {200: 2, 429: 4}
    limit(stack, account, rpm=0)
    time.sleep(1.0)
    assert statuses(burst(urls, [account], 6)) == {200: 6}


def test_the_command_makes_an_organization_with_limits(
    stack: Stack, upstream: Upstream, urls: list[str]
) -> None:
    upstream.on("alpha-one", answer(wait_s=0.5))
    account = stack.new_account("1.00", concurrent=2)

    assert statuses(burst(urls, [account], 9)) == {200: 2, 429: 7}
