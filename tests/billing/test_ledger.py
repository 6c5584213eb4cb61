"""Settling: once, exactly, durably, and never above the hold."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from billing import api, ledger, spool
from billing.types import Attempt, Hold, Outcome, UsageSource
from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from ccapi.core.usage import Usage
from tests.billing.money import LOCK, Bank, broken, open_bank, rows, running
from tests.databases import OwnDatabase

OUTCOME = "SELECT outcome, charge_nano, captured_nano, overage_nano, without_hold FROM settlement"
JOURNAL = """
    SELECT d.code, c.code, t.amount_nano FROM ledger_transfer t
    JOIN ledger_account d ON d.id = t.debit_account JOIN ledger_account c ON c.id = t.credit_account
    WHERE t.ref_type <> 3 ORDER BY t.leg"""


@pytest.fixture(autouse=True)
def all_invariants_hold(own_database: OwnDatabase) -> Iterator[None]:
    yield
    assert broken() == {}


async def serve(bank: Bank, held: int, used: int) -> Hold:
    hold = await api.admit(bank.wants(held))
    api.settle(bank.used(hold, used))
    return hold


def wallet_code(bank: Bank) -> str:
    return f"wallet:{bank.organization}"


def test_a_capture_takes_what_was_used_and_gives_the_rest_back(bank: Bank) -> None:
    bank.credit(1_000_000)

    running(lambda: serve(bank, 300, 100))

    assert (bank.balance().posted, bank.balance().held) == (800_000, 0)
    assert rows(OUTCOME) == [(1, 200_000, 200_000, 0, False)]
    assert rows(JOURNAL) == [(wallet_code(bank), "income:usage", 200_000)]


def test_settling_does_not_wait(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def timed() -> float:
        hold = await api.admit(bank.wants(1))
        began = time.perf_counter()
        api.settle(bank.used(hold, 1))
        return time.perf_counter() - began

    assert running(timed) < 0.005


def test_settlements_of_one_moment_share_a_batch(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def serve_some() -> None:
        holds = [await api.admit(bank.wants(10)) for _ in range(5)]
        for hold in holds:
            api.settle(bank.used(hold, 1))
            await asyncio.sleep(0)

    running(serve_some)

    assert rows("SELECT count(*), count(DISTINCT xmin::text) FROM settlement") == [(5, 1)]


def test_money_that_a_queued_settlement_frees_is_there_for_the_next_request(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "GATHER_S", 60.0)
    bank.credit(700_000)

    async def one_after_the_other() -> list[int | None]:
        holds = []
        for _ in range(3):  # each holds all that is left, and uses a little
            hold = await api.admit(bank.wants(300))
            api.settle(bank.used(hold, 10))
            holds.append(hold.max_tokens_applied)
        return holds

    began = time.perf_counter()
    assert running(one_after_the_other) == [None, None, None]
    assert time.perf_counter() - began < 5
    assert bank.balance().posted == 640_000


def test_a_cost_above_the_hold_is_ours_and_stands_in_the_books(bank: Bank) -> None:
    bank.credit(1_000_000)

    running(lambda: serve(bank, 100, 300))

    assert bank.balance().posted == 800_000
    assert rows(OUTCOME) == [(1, 600_000, 200_000, 400_000, False)]
    assert rows(JOURNAL) == [
        (wallet_code(bank), "income:usage", 200_000),
        ("expense:overage_writeoff", "income:usage", 400_000),
    ]


def test_settling_twice_charges_once(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def twice() -> None:
        hold = await api.admit(bank.wants(300))
        api.settle(bank.used(hold, 100))
        api.settle(bank.used(hold, 200))  # still queued
        await api.drain(5)
        api.settle(bank.used(hold, 300))  # already in the books

    running(twice)

    assert bank.balance().posted == 800_000
    assert len(rows(OUTCOME)) == 1


@pytest.mark.parametrize("outcome", [Outcome.VOIDED, Outcome.EXPIRED])
def test_what_is_void_costs_nothing_whatever_was_used(bank: Bank, outcome: Outcome) -> None:
    bank.credit(1_000_000)

    async def void() -> None:
        hold = await api.admit(bank.wants(300))
        api.settle(bank.used(hold, 200, outcome=outcome, status="upstream_error"))

    running(void)

    assert (bank.balance().posted, bank.balance().held) == (1_000_000, 0)
    assert rows(JOURNAL) == []
    assert rows("SELECT output, charge_nano, cost_nano FROM usage_event") == [(200, 0, 0)]


def test_a_provider_that_reports_zero_is_believed(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def nothing() -> None:
        hold = await api.admit(bank.wants(300))
        api.settle(bank.used(hold, 0, usage=Usage()))

    running(nothing)

    assert rows(OUTCOME) == [(1, 0, 0, 0, False)]


def test_a_hold_that_postgresql_forgot_is_captured_from_what_is_available(bank: Bank) -> None:
    bank.credit(1_000_000)
    forgotten = bank.hold(400)

    async def settle() -> None:
        api.settle(bank.used(forgotten, 300))

    running(settle)

    assert (bank.balance().posted, bank.balance().held) == (400_000, 0)
    assert rows(OUTCOME) == [(1, 600_000, 600_000, 0, True)]


def test_without_its_hold_a_capture_never_overdraws(bank: Bank) -> None:
    bank.credit(500_000)
    forgotten = bank.hold(400)

    async def settle() -> None:
        await api.admit(bank.wants(200))
        api.settle(bank.used(forgotten, 300, usage=Usage(input=300, output=150)))

    running(settle)

    assert (bank.balance().posted, bank.balance().held) == (400_000, 400_000)
    assert rows(OUTCOME) == [(1, 600_000, 100_000, 500_000, True)]
    costs = rows("SELECT cost_nano, input_cost_nano, output_cost_nano FROM usage_event")
    assert costs == [(100_000, 50_000, 50_000)]


def expired(bank: Bank, tokens: int) -> Hold:
    """A hold whose process fell silent, and which the sweeper has voided."""

    async def silent() -> Hold:
        hold = await api.admit(bank.wants(tokens))
        ledger.current().open.clear()
        return hold

    hold = running(silent)
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 hour'")
    rows("SELECT * FROM sweep_holds_v1(500, 0, 'test')")
    return hold


def test_late_usage_after_expiry_is_charged_once_from_what_is_available(bank: Bank) -> None:
    bank.credit(1_000_000)
    hold = expired(bank, 300)
    assert rows(OUTCOME) == [(3, 0, 0, 0, False)]

    async def late() -> None:
        api.settle(bank.used(hold, 100))
        await api.drain(5)
        api.settle(bank.used(hold, 100))

    running(late)

    assert bank.balance().posted == 800_000
    assert rows("SELECT ref_type, amount_nano FROM ledger_transfer WHERE ref_type = 2") == [
        (2, 200_000)
    ]


def test_late_usage_never_overdraws(bank: Bank) -> None:
    bank.credit(600_000)
    hold = expired(bank, 300)

    async def late() -> None:
        await api.admit(bank.wants(250))
        api.settle(bank.used(hold, 300))

    running(late)

    assert (bank.balance().posted, bank.balance().held) == (500_000, 500_000)


def test_the_usage_event_says_everything_that_the_receipt_needs(bank: Bank) -> None:
    bank.credit(10_000_000)
    usage = Usage(input=3, cache_read=4, output=5, reasoning=6, raw=msgspec.Raw(b'{"total": 18}'))

    async def settle() -> None:
        hold = await api.admit(bank.wants(1000))
        failed = Attempt(model="b/x", provider="b", status=503, latency_ms=3, error="overloaded")
        api.settle(
            bank.used(
                hold,
                0,
                usage=usage,
                usage_source=UsageSource.TOKENIZER,
                outcome=Outcome.ESTIMATED,
                attempts=(failed,),
                end_user="u" * 1000,
            )
        )

    running(settle)

    (found,) = rows(
        "SELECT input_tokens, output_tokens, cache_read, reasoning, usage_raw::text,"
        " price_snapshot::text, attempts::text, length(end_user), usage_source, outcome"
        " FROM usage_event"
    )
    assert found[:4] == (7, 11, 4, 6)
    assert json.loads(found[4]) == {"total": 18}
    assert json.loads(found[5])["rates"]["cache_read"] == [10**12, 10**6]
    assert json.loads(found[6])[0]["error"] == "overloaded"
    assert found[7:] == (256, 3, 4)


def test_a_large_vendor_object_is_left_out_and_its_size_told(bank: Bank) -> None:
    bank.credit(10_000_000)
    raw = msgspec.Raw(json.dumps({"x": "y" * 9000}).encode())

    async def settle() -> None:
        hold = await api.admit(bank.wants(1))
        api.settle(bank.used(hold, 0, usage=Usage(output=1, raw=raw)))

    running(settle)

    assert rows("SELECT usage_raw::text FROM usage_event") == [('{"omitted_bytes": 9009}',)]


@pytest.mark.parametrize("text", ["nul \x00 in it", "\ud83d\ude00 paired", "quote ' and \\u0000"])
def test_no_text_of_a_client_stops_a_settlement(bank: Bank, text: str) -> None:
    bank.credit(1_000_000)
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16")

    async def settle() -> None:
        hold = await api.admit(bank.wants(1))
        api.settle(bank.used(hold, 1, end_user=clean, requested_model=clean))

    running(settle)

    assert bank.balance().posted == 998_000


def test_a_line_that_postgresql_refuses_is_settled_without_its_free_texts(bank: Bank) -> None:
    bank.credit(1_000_000)
    poison = msgspec.Raw(b'{"text": "\\ud800"}')  # half a surrogate pair: no jsonb

    async def settle() -> None:
        good, bad = await asyncio.gather(api.admit(bank.wants(1)), api.admit(bank.wants(1)))
        api.settle(bank.used(good, 1))
        api.settle(bank.used(bad, 0, usage=Usage(output=1, raw=poison)))

    running(settle)

    assert bank.balance().posted == 996_000
    assert bank.balance().held == 0


def test_a_line_that_cannot_be_settled_at_all_is_set_aside_on_disk(
    bank: Bank, spool_dir: Path
) -> None:
    bank.credit(1_000_000)

    async def settle() -> None:
        hold = await api.admit(bank.wants(1))
        api.settle(bank.used(hold, 1, http_status=10**6))  # no smallint

    running(settle)

    assert (spool_dir / spool.REJECTED).read_bytes().count(b"\n") == 1
    assert bank.balance().held == 2000  # the sweeper frees it


def test_nothing_is_admitted_while_too_much_is_unsettled(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.credit(1_000_000)
    monkeypatch.setattr(ledger, "UNSETTLED_MAX", 2)

    async def pile_up() -> None:
        holds = [await api.admit(bank.wants(1)) for _ in range(3)]
        for hold in holds:
            api.settle(bank.used(hold, 1))
        with pytest.raises(BillingUnavailable):
            await api.admit(bank.wants(1))
        assert await api.drain(5)
        await api.admit(bank.wants(1))

    running(pile_up)


def test_one_locked_wallet_keeps_only_its_own_settlements_waiting(bank: Bank) -> None:
    other = open_bank("Other")
    bank.credit(1_000_000)
    other.credit(1_000_000)
    lock = LOCK.format(seconds=4)

    async def locked() -> bool:
        holds = [await api.admit(bank.wants(1)), await api.admit(other.wants(1))]
        blocker = asyncio.ensure_future(postgres.fetch_all(lock, (bank.organization,), timeout_s=9))
        await asyncio.sleep(0.2)
        api.settle(bank.used(holds[0], 1))
        api.settle(other.used(holds[1], 1))
        posted = 0
        while posted != 998_000 and not blocker.done():
            await asyncio.sleep(0.1)
            posted = (await postgres.fetch_all(POSTED, (other.organization,)))[0][0]
        while ledger.current().away_s and not blocker.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)  # until it knows that it is one wallet, not PostgreSQL
        was_locked = not blocker.done()
        await blocker
        assert await api.drain(9)
        return was_locked

    assert running(locked)
    assert bank.balance().posted == 998_000


POSTED = "SELECT posted_nano FROM wallet WHERE organization_id = %s"
