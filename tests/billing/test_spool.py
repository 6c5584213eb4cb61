"""Settlements on disk: while PostgreSQL is away or slow, and after a process has died."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing import api, ledger, records, spool
from billing.types import Hold
from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from tests import databases
from tests.billing.money import LOCK, Bank, broken, rows, running
from tests.databases import OwnDatabase, leave

SETTLED = "SELECT request_id FROM settlement"


@pytest.fixture(autouse=True)
def all_invariants_hold(own_database: OwnDatabase) -> Iterator[None]:
    yield
    assert broken() == {}


def test_settlements_wait_on_disk_while_postgresql_is_away(bank: Bank, spool_dir: Path) -> None:
    bank.credit(1_000_000)

    async def outage() -> tuple[int, float]:
        holds = [await api.admit(bank.wants(1)) for _ in range(20)]
        with databases.current().away():
            for hold in holds:
                api.settle(bank.used(hold, 1))
            with pytest.raises(BillingUnavailable):
                await api.admit(bank.wants(1))
            await asyncio.sleep(0.5)
            lines = lines_in(spool_dir)
        began = time.monotonic()
        assert await api.drain(10)
        return lines, time.monotonic() - began

    lines, took_s = running(outage)

    assert lines == 21  # with the header
    assert took_s < 5
    assert list(spool_dir.iterdir()) == []
    assert bank.balance().posted == 1_000_000 - 20 * 2000


def test_what_waits_behind_a_slow_batch_is_on_disk_before_it_ends(
    bank: Bank, spool_dir: Path
) -> None:
    bank.credit(1_000_000)
    lock = LOCK.format(seconds=0.9)

    async def slow() -> tuple[int, int]:
        holds = [await api.admit(bank.wants(1)) for _ in range(2)]
        blocker = asyncio.ensure_future(postgres.fetch_all(lock, (bank.organization,), timeout_s=5))
        await asyncio.sleep(0.1)
        api.settle(bank.used(holds[0], 1))
        await asyncio.sleep(0.1)
        before = lines_in(spool_dir)
        await asyncio.sleep(ledger.SLOW_S)
        api.settle(bank.used(holds[1], 1))
        await asyncio.sleep(0.05)
        after = lines_in(spool_dir)
        await blocker
        assert await api.drain(5)
        return before, after

    assert running(slow) == (0, 3)  # with the header
    assert list(spool_dir.iterdir()) == []
    assert bank.balance().posted == 1_000_000 - 2 * 2000


def test_a_queue_that_is_never_empty_is_no_outage_once_postgresql_answers(
    bank: Bank, spool_dir: Path
) -> None:
    bank.credit(1_000_000)

    async def busy() -> tuple[float, int]:
        book = ledger.current()
        holds = [await api.admit(bank.wants(1)) for _ in range(60)]
        with databases.current().away():
            api.settle(bank.used(holds.pop(), 1))
            while not lines_in(spool_dir):  # noqa: ASYNC110 - it is not of this loop
                await asyncio.sleep(0.01)
        while holds and (book.away_s or lines_in(spool_dir)):
            if book.waiting < 2:  # one under way, and one behind it
                api.settle(bank.used(holds.pop(), 1))
            await asyncio.sleep(0)
        found = book.away_s, lines_in(spool_dir)
        assert holds, "it was an outage for as long as anything was queued"
        assert await api.drain(5)
        return found

    assert running(busy) == (0.0, 0)
    assert list(spool_dir.iterdir()) == []


def lines_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


def leave_on_disk(bank: Bank, count: int) -> list[Hold]:
    """A process that ends while PostgreSQL is away."""

    async def dying() -> list[Hold]:
        holds = [await api.admit(bank.wants(1)) for _ in range(count)]
        with databases.current().away():
            for hold in holds:
                api.settle(bank.used(hold, 1))
            assert not await api.drain(0.3)
        return holds

    leave()
    return asyncio.run(dying())


def test_what_a_dead_process_left_on_disk_is_settled_once(bank: Bank, spool_dir: Path) -> None:
    bank.credit(1_000_000)
    leave_on_disk(bank, 7)
    (left,) = spool_dir.glob("*.jsonl")
    kept = left.read_bytes()

    assert running(lambda: ledger.current().replay()) == 7
    assert list(spool_dir.iterdir()) == []
    left.write_bytes(kept)  # as if it had died between settling and removing
    assert running(lambda: ledger.current().replay()) == 7

    assert (bank.balance().posted, bank.balance().held) == (1_000_000 - 7 * 2000, 0)
    assert len(rows(SETTLED)) == 7


def test_a_torn_last_line_loses_only_itself(bank: Bank, spool_dir: Path) -> None:
    bank.credit(1_000_000)
    leave_on_disk(bank, 3)
    (left,) = spool_dir.glob("*.jsonl")
    left.write_bytes(left.read_bytes()[:-30])

    assert running(lambda: ledger.current().replay()) == 2
    assert bank.balance().posted == 996_000


def test_another_databases_spool_is_not_touched(bank: Bank, spool_dir: Path) -> None:
    spool_dir.mkdir()
    line = records.encode(bank.used(bank.hold(1), 1))
    foreign = spool_dir / "1-abc.jsonl"
    foreign.write_bytes(b'{"database":"123/elsewhere"}\n' + line + b"\n")

    assert running(lambda: ledger.current().replay()) == 0
    assert foreign.exists()
    assert rows(SETTLED) == []


def test_a_living_process_keeps_its_spool(bank: Bank, spool_dir: Path) -> None:
    bank.credit(1_000_000)
    writer = spool.Spool(spool_dir)
    database = running(_identity)
    writer.append([records.encode(bank.used(bank.hold(1), 1))], database=database)

    assert running(lambda: ledger.current().replay()) == 0

    writer.clear()
    assert list(spool_dir.iterdir()) == []


async def _identity() -> str:
    await ledger.current().identify()
    return ledger.current().database


def test_a_loop_that_ends_leaves_what_is_queued_on_disk(bank: Bank, spool_dir: Path) -> None:
    bank.credit(1_000_000)

    async def cut_off() -> None:
        hold = await api.admit(bank.wants(1))
        api.settle(bank.used(hold, 1))
        await asyncio.sleep(0)  # the batch is under way

    asyncio.run(cut_off())
    assert [file for file in spool_dir.iterdir() if file.stat().st_size], "nothing was written"
    assert running(lambda: ledger.current().replay()) == 1

    # Whether the batch under way had reached PostgreSQL or not: settled once, and off the disk.
    assert bank.balance().posted == 998_000
    assert not [file for file in spool_dir.iterdir() if file.stat().st_size]
