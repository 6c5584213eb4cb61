"""What goes on beside the requests: heartbeats, expiry, partitions; it ends with the loop."""

import asyncio
import threading

from pytest_django.fixtures import Settings

from billing import api, ledger, sweeper
from billing.types import Hold
from ccapi.core import postgres
from tests.billing.money import Bank, broken, rows, running
from tests.databases import leave

SWEEP = "SELECT request_id, amount_nano FROM sweep_holds_v1(%s, %s, 'test')"


def hold(bank: Bank, tokens: int = 1) -> Hold:
    return running(lambda: api.admit(bank.wants(tokens)))


def expire() -> None:
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")


def test_a_hold_that_nobody_keeps_alive_is_voided(bank: Bank) -> None:
    bank.credit(1_000_000)
    silent = hold(bank, 100)
    expire()

    swept = rows(SWEEP, 500, 0)

    assert swept == [(silent.request_id, 200_000)]
    assert (bank.balance().posted, bank.balance().held) == (1_000_000, 0)
    assert rows("SELECT outcome, charge_nano, hold_nano FROM settlement") == [(3, 0, 200_000)]
    assert rows("SELECT status, model, cost_nano FROM usage_event") == [("expired", "acme/one", 0)]
    assert broken() == {}


def test_a_live_hold_is_left_alone(bank: Bank) -> None:
    bank.credit(1_000_000)
    hold(bank)

    assert rows(SWEEP, 500, 0) == []
    assert bank.balance().held == 2000


def test_sweeping_goes_by_limited_batches(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def many() -> None:
        await asyncio.gather(*[api.admit(bank.wants(1)) for _ in range(7)])

    running(many)
    expire()

    assert [len(rows(SWEEP, 3, 0)) for _ in range(4)] == [3, 3, 1, 0]
    assert broken() == {}


def test_nobody_is_swept_just_after_the_server_started(bank: Bank) -> None:
    bank.credit(1_000_000)
    hold(bank)
    expire()

    assert rows(SWEEP, 500, 10**9) == []


def test_one_process_sweeps_at_a_time(bank: Bank) -> None:
    bank.credit(1_000_000)
    hold(bank)
    expire()

    async def while_another_sweeps() -> int:
        lock = "SELECT pg_advisory_xact_lock(hashtext('billing.sweeper')), pg_sleep(0.5)"
        other = asyncio.ensure_future(postgres.fetch_all(lock))
        await asyncio.sleep(0.2)
        swept = await postgres.fetch_all(SWEEP, (500, 0))
        await other
        return len(swept)

    assert running(while_another_sweeps) == 0
    assert len(rows(SWEEP, 500, 0)) == 1


def test_a_heartbeat_keeps_a_long_stream_from_being_swept(bank: Bank, settings: Settings) -> None:
    settings.CCAPI_HOLD_TTL_S = 0.6
    settings.CCAPI_SWEEP_S = 0.05
    bank.credit(1_000_000)

    async def long_stream() -> None:
        held = await api.admit(bank.wants(10))
        await asyncio.sleep(2)
        api.settle(bank.used(held, 5))

    running(long_stream)

    assert rows("SELECT outcome, captured_nano FROM settlement") == [(1, 10_000)]
    assert broken() == {}


def test_a_silent_process_is_swept_by_a_living_one(bank: Bank, settings: Settings) -> None:
    settings.CCAPI_HOLD_TTL_S = 0.4
    settings.CCAPI_SWEEP_S = 0.05
    bank.credit(1_000_000)

    async def silent() -> None:
        await api.admit(bank.wants(10))
        ledger.current().open.clear()
        await asyncio.sleep(1.5)

    running(silent)

    assert rows("SELECT outcome FROM settlement") == [(3,)]
    assert bank.balance().held == 0


def test_the_months_ahead_are_made_where_they_are_missing(bank: Bank) -> None:
    name = "SELECT 'settlement' || to_char(now() AT TIME ZONE 'UTC' + interval '2 months', "
    (part,) = rows(name + """'"_y"YYYY"m"MM')""")
    rows(f"DROP TABLE {part[0]}")

    running(sweeper.ensure_partitions)

    assert rows("SELECT to_regclass(%s) IS NOT NULL", part[0]) == [(True,)]
    assert rows("SELECT ensure_partitions_v1(3)") == [(0,)]
    assert broken() == {}


def test_a_request_of_a_month_made_ahead_goes_to_its_partition(bank: Bank) -> None:
    found = rows(
        "INSERT INTO settlement (request_id, organization_id, outcome, hold_nano, charge_nano,"
        " captured_nano, overage_nano, settled_by)"
        " VALUES (uuid7_floor(now() + interval '31 days'), 1, 2, 0, 0, 0, 0, 'test')"
        " RETURNING tableoid::regclass::text"
        " = 'settlement' || to_char(now() AT TIME ZONE 'UTC' + interval '31 days',"
        """ '"_y"YYYY"m"MM')"""
    )

    assert found == [(True,)]


def test_the_background_ends_with_its_loop_and_leaves_no_thread(bank: Bank) -> None:
    bank.credit(1_000_000)
    leave()
    before = set(threading.enumerate())

    async def work() -> asyncio.Task[None]:
        api.start_background()
        api.start_background()  # once only
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "billing.background"]
        await api.admit(bank.wants(1))
        assert len(tasks) == 1
        return tasks[0]

    task = asyncio.run(work())

    assert task.done()
    assert set(threading.enumerate()) == before
