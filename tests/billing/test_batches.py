"""`ccapi.core.postgres`: connections that come back, statements that end, batches that gather."""

import asyncio
import time

import psycopg
import pytest

from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from tests import databases
from tests.billing.money import Bank, running


def test_holds_may_be_forgotten_in_a_crash_and_nothing_else(bank: Bank) -> None:
    show = "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout')"

    async def ask() -> list[object]:
        return [await postgres.pool(name).run(show, (), timeout_s=2) for name in ("main", "holds")]

    assert running(ask) == [[("on", "5s")], [("off", "5s")]]


def test_batches_of_money_are_planned_once_and_by_index(bank: Bank) -> None:
    show = "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"

    async def ask() -> list[object]:
        pools = (postgres.pool(name) for name in ("main", "holds", "settlements"))
        return [(await pool.run(show, (), timeout_s=2))[0] for pool in pools]

    once = ("force_generic_plan", "off")
    assert running(ask) == [("auto", "on"), once, once]


def test_an_idle_connection_that_died_is_replaced_unseen(bank: Bank) -> None:
    async def ask() -> object:
        await asyncio.gather(*[postgres.fetch_one("SELECT 1") for _ in range(4)])
        with databases.current().away():
            pass
        return await postgres.fetch_one("SELECT 2")

    assert running(ask) == (2,)


def test_an_outage_is_told_at_once_and_over_at_once(bank: Bank) -> None:
    async def ask() -> tuple[float, float]:
        await postgres.fetch_one("SELECT 1")
        with databases.current().away():
            began = time.monotonic()
            for _ in range(3):
                with pytest.raises(BillingUnavailable):
                    await postgres.fetch_one("SELECT 1")
            told_s = time.monotonic() - began
        began = time.monotonic()
        while True:
            try:
                await postgres.fetch_one("SELECT 1")
                break
            except BillingUnavailable:
                await asyncio.sleep(0.01)
        return told_s, time.monotonic() - began

    told_s, back_s = running(ask)

    assert told_s < 2
    assert back_s < 2


def test_a_slow_statement_is_cut_and_its_connection_given_up(bank: Bank) -> None:
    async def ask() -> object:
        began = time.monotonic()
        with pytest.raises(BillingUnavailable):
            await postgres.fetch_one("SELECT pg_sleep(4)", timeout_s=0.3)
        assert time.monotonic() - began < 1.5
        return await postgres.fetch_one("SELECT 3")

    assert running(ask) == (3,)


def test_more_callers_than_connections_wait_their_turn_but_not_for_ever(bank: Bank) -> None:
    async def crowd() -> list[object]:
        slow = [postgres.fetch_one("SELECT pg_sleep(1.5)") for _ in range(4)]
        fast = [postgres.fetch_one("SELECT 1") for _ in range(2)]
        return list(await asyncio.gather(*slow, *fast, return_exceptions=True))

    *slow, first, second = running(crowd)

    assert all(isinstance(answer, tuple) for answer in slow)
    assert isinstance(first, postgres.Contended)
    assert isinstance(second, postgres.Contended)


def test_a_cancelled_caller_leaves_at_once_and_its_connection_stays_whole(bank: Bank) -> None:
    async def ask() -> list[object]:
        callers = [
            asyncio.ensure_future(postgres.fetch_one("SELECT pg_sleep(0.5)")) for _ in range(4)
        ]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert time.monotonic() - began < 0.1
        await asyncio.sleep(0.5)
        return list(await asyncio.gather(*[postgres.fetch_one("SELECT 1") for _ in range(4)]))

    assert running(ask) == [(1,)] * 4


def test_a_faulty_statement_is_not_called_an_outage(bank: Bank) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        running(lambda: postgres.fetch_one("SELECT * FROM nowhere"))


def test_the_next_batch_gathers_while_one_runs() -> None:
    batches: list[list[int]] = []

    async def work(items: list[int]) -> list[int]:
        batches.append(items)
        await asyncio.sleep(0.01)
        return [item * 2 for item in items]

    async def run() -> list[int]:
        batcher = postgres.Batcher(work, size_max=4)
        first = asyncio.ensure_future(batcher.run(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [batcher.run(item) for item in range(1, 7)]
        return [await first, *await asyncio.gather(*rest)]

    assert asyncio.run(run()) == [0, 2, 4, 6, 8, 10, 12]
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_who_leaves_before_the_batch_is_not_in_it_and_who_leaves_within_is_told_of() -> None:
    seen: list[int] = []
    abandoned: list[tuple[int, int]] = []

    async def work(items: list[int]) -> list[int]:
        seen.extend(items)
        await asyncio.sleep(0.01)
        return items

    async def run() -> None:
        batcher = postgres.Batcher(work, abandoned=lambda *pair: abandoned.append(pair))
        within = asyncio.ensure_future(batcher.run(1))
        await asyncio.sleep(0.005)
        before = asyncio.ensure_future(batcher.run(2))
        await asyncio.sleep(0)
        stays = asyncio.ensure_future(batcher.run(3))
        before.cancel()
        within.cancel()
        assert await stays == 3

    asyncio.run(run())

    assert seen == [1, 3]
    assert abandoned == [(1, 1)]


def test_a_failed_batch_is_tried_item_by_item() -> None:
    tries: list[list[int]] = []

    async def work(items: list[int]) -> list[int]:
        tries.append(items)
        if 13 in items:
            raise ValueError("13")
        return items

    async def run() -> list[object]:
        batcher = postgres.Batcher(work)
        waiting = [batcher.run(item) for item in (1, 13, 2)]
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, second, third = asyncio.run(run())

    assert (first, third) == (1, 2)
    assert isinstance(second, ValueError)
    assert tries == [[1, 13, 2], [1], [13], [2]]


def test_an_outage_fails_the_whole_batch_at_once() -> None:
    tries: list[list[int]] = []

    async def work(items: list[int]) -> list[int]:
        tries.append(items)
        raise BillingUnavailable("away")

    async def run() -> list[object]:
        batcher = postgres.Batcher(work)
        waiting = [batcher.run(item) for item in (1, 2)]
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    assert all(isinstance(answer, BillingUnavailable) for answer in asyncio.run(run()))
    assert tries == [[1, 2]]
