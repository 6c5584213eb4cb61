"""Clients that leave: their slot, the provider's policy, the bill, and nothing left behind."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ccapi.core.ids import generation_id
from tests.e2e import raw
from tests.e2e.raw import PATHS
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import Script, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

WORDS = 40
SAID = transcripts.answer(" ".join(["word"] * WORDS), usage=(10, WORDS))
DIALECTS = {"alpha/one": OPENAI, "beta/one": ANTHROPIC, "drains/one": OPENAI}
DRAINS_MAX = 2
DRAIN_S = 1.5
GONE_S = 1.0  # what is promised


@pytest.fixture(scope="module")
def small(shared_stack: Stack) -> Iterator[Web]:
    """A web process that drains little, and not for long."""
    web = shared_stack.web(CCAPI_DRAINS_MAX=str(DRAINS_MAX), CCAPI_DRAIN_S=str(DRAIN_S))
    yield web
    web.stop()


def slow(model: str, *, stream_it: bool, wait_s: float = 1.6, pace: float = 0.0) -> Script:
    dialect = DIALECTS[model]
    if stream_it:
        return stream(transcripts.frames(dialect, SAID), first_byte_s=wait_s, pace=pace)
    return reply(200, transcripts.body(dialect, SAID), first_byte_s=wait_s)


def receipt_of(stack: Stack, account: Account) -> dict[str, Any]:
    """The receipt of the only request that the account has made."""
    query = (
        "SELECT request_id FROM usage_event e JOIN organization o ON o.id = e.organization_id"
        " WHERE o.public_id = %s"
    )
    deadline = time.monotonic() + 20  # the first that is counted waits for the tokenizer's start
    while not (rows := stack.rows(query, account.organization)):
        assert time.monotonic() < deadline, "no settlement"
        time.sleep(0.02)
    ((request_id,),) = rows
    assert isinstance(request_id, UUID)
    return stack.generation(account, generation_id(request_id))


@pytest.mark.parametrize("model", ["alpha/one", "beta/one"])
@pytest.mark.parametrize("protocol", list(PATHS))
@pytest.mark.parametrize("stream_it", [True, False], ids=["stream", "whole"])
def test_a_client_that_leaves_before_the_answer_pays_the_prompt_and_the_upstream_is_hung_up_on(
    stack: Stack,
    upstream: Upstream,
    account: Account,
    protocol: str,
    model: str,
    stream_it: bool,
) -> None:
    upstream.on(model.replace("/", "-"), slow(model, stream_it=stream_it))

    client = raw.ask(stack.webs[0], account, PATHS[protocol], model=model, stream=stream_it)
    upstream.wait_until(lambda fake: fake.count() == 1)
    time.sleep(0.15)
    client.close()

    upstream.wait_until(lambda fake: fake.hangups == 1, timeout_s=GONE_S)
    receipt = receipt_of(stack, account)
    assert receipt["status"] == "client_cancelled"
    assert receipt["outcome"] == "partial"
    assert receipt["usage_source"] == "tokenizer"
    assert receipt["finish_reason"] is None
    assert receipt["usage"]["input_tokens"] > 0
    assert receipt["usage"]["output_tokens"] == 0
    assert receipt["cost"] == receipt["input_cost"] != "0"
    assert stack.balance(account)[1] == 0


@pytest.mark.parametrize("protocol", list(PATHS))
@pytest.mark.parametrize("model", ["alpha/one", "beta/one"])
def test_a_client_that_leaves_a_stream_pays_what_was_delivered(
    stack: Stack, upstream: Upstream, account: Account, protocol: str, model: str
) -> None:
    upstream.on(model.replace("/", "-"), slow(model, stream_it=True, wait_s=0, pace=0.05))

    client = raw.ask(stack.webs[0], account, PATHS[protocol], model=model, stream=True)
    raw.read_until(client, b"word")
    time.sleep(0.3)
    client.close()

    upstream.wait_until(lambda fake: fake.hangups == 1, timeout_s=GONE_S)
    receipt = receipt_of(stack, account)
    assert (receipt["status"], receipt["outcome"]) == ("client_cancelled", "partial")
    # Anthropic tells the prompt's tokens at the start, OpenAI all of them at the end.
    told = "provider_partial" if model == "beta/one" else "tokenizer"
    assert receipt["usage_source"] == told
    assert 1 < receipt["usage"]["output_tokens"] < WORDS
    assert receipt["attempts"][0]["cost"] == receipt["cost"] != "0"


@pytest.mark.parametrize("protocol", list(PATHS))
def test_a_whole_answer_is_read_on_where_the_provider_bills_it_anyway(
    stack: Stack, upstream: Upstream, account: Account, protocol: str
) -> None:
    upstream.on("drains-one", slow("drains/one", stream_it=False, wait_s=0.6))

    client = raw.ask(stack.webs[0], account, PATHS[protocol], model="drains/one")
    upstream.wait_until(lambda fake: fake.count() == 1)
    time.sleep(0.15)
    client.close()
    receipt = receipt_of(stack, account)

    assert upstream.hangups == 0
    assert (receipt["status"], receipt["outcome"]) == ("client_cancelled", "captured")
    assert receipt["usage"]["output_tokens"] == WORDS
    assert receipt["usage_source"] == "provider"


def test_a_client_that_leaves_frees_its_slot_at_once_although_its_answer_is_read_on(
    stack: Stack, upstream: Upstream
) -> None:
    account = stack.new_account("1.00", concurrent=1)
    upstream.on("drains-one", slow("drains/one", stream_it=True, wait_s=0, pace=0.03))
    upstream.on("alpha-one", slow("alpha/one", stream_it=False, wait_s=0))
    body = {"model": "alpha/one", "messages": raw.MESSAGES}

    client = raw.ask(stack.webs[0], account, PATHS["openai"], model="drains/one", stream=True)
    raw.read_until(client, b"word")
    with stack.http(account) as http:
        while_there = http.post(PATHS["openai"], json=body)
        client.close()
        time.sleep(0.2)
        held = stack.balance(account)[1]
        after = http.post(PATHS["openai"], json=body)

    assert while_there.status_code == 429
    assert held > 0, "its answer is still being read"
    assert after.status_code == 200
    stack.wait_for_no_holds()


def test_drains_are_capped_and_the_newest_one_is_hung_up_on(
    stack: Stack, upstream: Upstream, small: Web
) -> None:
    accounts = [stack.account() for _ in range(DRAINS_MAX + 1)]
    upstream.on("drains-one", slow("drains/one", stream_it=True, wait_s=0, pace=0.02))

    clients = []
    for account in accounts:
        clients.append(raw.ask(small, account, PATHS["openai"], model="drains/one", stream=True))
        raw.read_until(clients[-1], b"word")
    for client in clients:
        client.close()
        time.sleep(0.05)

    upstream.wait_until(lambda fake: fake.hangups == 1, timeout_s=GONE_S)
    receipts = [receipt_of(stack, account) for account in accounts]
    assert [receipt["outcome"] for receipt in receipts] == ["captured", "captured", "partial"]
    assert {receipt["status"] for receipt in receipts} == {"client_cancelled"}
    assert receipts[0]["usage"]["output_tokens"] == WORDS
    assert 0 < receipts[2]["usage"]["output_tokens"] < WORDS
    assert upstream.hangups == 1


def test_a_drain_that_takes_too_long_is_hung_up_on_and_settled_in_part(
    stack: Stack, upstream: Upstream, account: Account, small: Web
) -> None:
    upstream.on("drains-one", slow("drains/one", stream_it=True, wait_s=0, pace=0.2))

    client = raw.ask(small, account, PATHS["anthropic"], model="drains/one", stream=True)
    raw.read_until(client, b"word")
    began = time.monotonic()
    client.close()
    upstream.wait_until(lambda fake: fake.hangups == 1, timeout_s=DRAIN_S + GONE_S)

    assert time.monotonic() - began > DRAIN_S * 0.9
    receipt = receipt_of(stack, account)
    assert (receipt["status"], receipt["outcome"]) == ("client_cancelled", "partial")
    assert 0 < receipt["usage"]["output_tokens"] < WORDS


def test_after_a_storm_of_clients_that_leave_nothing_is_left_behind(
    stack: Stack, upstream: Upstream, small: Web
) -> None:
    account = stack.account()
    for model in ("alpha/one", "beta/one", "drains/one"):
        upstream.on(model.replace("/", "-"), slow(model, stream_it=True, wait_s=0, pace=0.02))
    _storm(small, account, 20)  # pools and caches fill
    _wait_for_rest(stack, upstream)
    before, connected = _descriptors(small), upstream.connections

    _storm(small, account, 200)
    _wait_for_rest(stack, upstream)

    assert _descriptors(small) <= before + 3
    assert upstream.connections <= connected + 3
    assert _open_requests(small) == 0


def _storm(web: Web, account: Account, times: int) -> None:
    """Clients that leave before the answer, at its first content, and somewhere in it."""
    waiting = []
    for number in range(times):
        model = ("alpha/one", "beta/one", "drains/one", "alpha/one")[number % 4]
        path = PATHS["openai" if number % 2 else "anthropic"]
        waiting.append(raw.ask(web, account, path, model=model, stream=True, max_tokens=50))
        if len(waiting) >= 20:
            client = waiting.pop(0)
            if number % 3:
                raw.read_until(client, b"word")
            client.close()
    for client in waiting:
        client.close()


def _wait_for_rest(stack: Stack, upstream: Upstream) -> None:
    stack.wait_for_no_holds()
    time.sleep(0.3)


def _descriptors(web: Web) -> int:
    return len(list(Path(f"/proc/{web.process.pid}/fd").iterdir()))


def _open_requests(web: Web) -> int:
    """Chat connections that the process still has, by the kernel's own account."""
    port = f"{web.port:04X}"
    established = "01"
    lines = Path(f"/proc/{web.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(
        fields[1].endswith(f":{port}") and fields[3] == established
        for fields in (line.split() for line in lines)
    )
