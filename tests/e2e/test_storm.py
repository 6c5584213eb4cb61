"""Zero overdraft and one settlement a request: storms over two web processes, and killed ones."""

import asyncio
from collections import Counter

import httpx2
import pytest

from tests.e2e.stack import Account, Stack, running
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream, closed_port

AFFORDED = 20
# `alpha/output-only` costs a tenth of a cent a token: ten tokens held and charged, a cent a
# request.
BODY = {
    "model": "alpha/output-only",
    "messages": [{"role": "user", "content": "Hi."}],
    "max_tokens": 10,
}


async def storm(
    urls: list[str], key: str, body: dict[str, object], times: int
) -> list[httpx2.Response]:
    """Every request at once, alternating between the web processes."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:
        return await asyncio.gather(
            *(
                client.post(
                    urls[number % len(urls)] + "/v1/chat/completions",
                    json=body,
                    headers={"authorization": f"Bearer {key}"},
                )
                for number in range(times)
            )
        )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_wallet_that_affords_n_requests_lets_exactly_n_of_ten_n_reach_the_upstream(
    stack: Stack, upstream: Upstream, streamed: bool
) -> None:
    said = transcripts.answer("ten tokens", usage=(3, 10))
    if streamed:
        upstream.on("alpha-output-only", stream(transcripts.frames(OPENAI, said), pace=0.2))
    else:
        upstream.on(
            "alpha-output-only", reply(body=transcripts.body(OPENAI, said), first_byte_s=1.0)
        )
    # One made by the command, as an operator would, one with the others.
    account = stack.new_account("0.20") if streamed else stack.account("0.20")
    urls = [web.url for web in stack.webs]

    answers = asyncio.run(storm(urls, account.api_key, {**BODY, "stream": streamed}, 10 * AFFORDED))

    assert Counter(answer.status_code for answer in answers) == {200: AFFORDED, 402: 9 * AFFORDED}
    assert upstream.count("alpha-output-only") == AFFORDED
    refused = [answer.json()["error"] for answer in answers if answer.status_code == 402]
    assert {error["type"] for error in refused} == {"billing_error"}
    assert {error["code"] for error in refused} <= {
        "in_flight_reservations",
        "insufficient_credits",
        "request_exceeds_balance",
    }
    stack.wait_for_no_holds()
    assert stack.balance(account) == (0, 0)
    stack.audit()


def test_a_web_process_killed_in_mid_stream_leaves_every_request_settled_once(
    upstream: Upstream,
) -> None:
    said = transcripts.answer(" ".join(["word"] * 50), usage=(10, 50))
    with (
        Upstream() as own,
        closed_port() as dead,
        running(own, dead, accounts={"1.00": 1}, name="killed") as stack,
    ):
        own.on("alpha-one", stream(transcripts.frames(OPENAI, said), pace=0.1))
        web = stack.web()
        account = stack.account()
        body = {"model": "alpha/one", "messages": BODY["messages"], "stream": True}

        asyncio.run(_kill_in_the_middle(stack, account, body))
        open_holds = stack.rows("SELECT count(*) FROM hold")[0][0]
        stack.web()
        stack.wait_for_no_holds(15)

        assert web.process.returncode == -9
        assert open_holds == 10
        assert own.count("alpha-one") == 10
        outcomes = stack.rows("SELECT outcome, captured_nano FROM settlement")
        # Our own crash costs the customer nothing: the sweeper voids.
        assert outcomes == [(3, 0)] * 10
        assert stack.balance(account) == (1_000_000_000, 0)
        stack.audit()


async def _kill_in_the_middle(stack: Stack, account: Account, body: dict[str, object]) -> None:
    web = stack.webs[0]
    calls = asyncio.gather(
        *(storm([web.url], account.api_key, body, 1) for _ in range(10)), return_exceptions=True
    )
    await asyncio.to_thread(stack.upstream.wait_until, lambda up: up.count("alpha-one") == 10)
    await asyncio.sleep(0.5)
    web.kill()
    results = await calls
    # What the clients saw was a broken connection, not an end.
    assert all(isinstance(result, httpx2.TransportError) for result in results)


def test_a_stopped_web_process_settles_what_it_has_begun(upstream: Upstream) -> None:
    said = transcripts.answer("short and sweet", usage=(10, 3))
    with (
        Upstream() as own,
        closed_port() as dead,
        running(own, dead, accounts={"1.00": 1}, name="stopped") as stack,
    ):
        own.on("alpha-one", stream(transcripts.frames(OPENAI, said), pace=0.3))
        web = stack.web()
        account = stack.account()
        body = {"model": "alpha/one", "messages": BODY["messages"], "stream": True}

        answers = asyncio.run(_stop_in_the_middle(stack, account, body))

        assert web.process.returncode in (0, -15)
        assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
        assert not stack.rows("SELECT 1 FROM hold")
        assert stack.balance(account) == (1_000_000_000 - 3 * 16_000, 0)
        stack.audit()


async def _stop_in_the_middle(
    stack: Stack, account: Account, body: dict[str, object]
) -> list[httpx2.Response]:
    web = stack.webs[0]
    calls = asyncio.gather(*(storm([web.url], account.api_key, body, 1) for _ in range(3)))
    await asyncio.sleep(0.8)
    await asyncio.to_thread(web.stop)
    return [answer for answers in await calls for answer in answers]
