"""PostgreSQL restarts, crashes and hangs in the middle of traffic: nothing free, nothing twice."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from billing import api, ledger
from billing.types import Hold
from ccapi.core.errors import BillingUnavailable
from tests.billing.money import Bank, broken, open_bank, rows, running
from tests.billing.server import Server
from tests.databases import leave

CREDIT = 10_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def bank(server: Server, django_db_blocker: DjangoDbBlocker, settings: Settings) -> Iterator[Bank]:
    """A bank on the server of this module, in a database of its own."""
    given = dict(connection.settings_dict)
    name = f"money_{time.time_ns()}"
    with django_db_blocker.unblock():
        leave()
        own = {"USER": "postgres", "PASSWORD": "", "HOST": "127.0.0.1", "PORT": str(server.port)}
        connection.settings_dict.update({**own, "NAME": "postgres"})
        rows(f'CREATE DATABASE "{name}"')
        leave()
        connection.settings_dict["NAME"] = name
        call_command("migrate", verbosity=0)
        bank = open_bank()
        bank.credit(CREDIT)
        try:
            yield bank
        finally:
            leave()
            connection.settings_dict.update({key: given[key] for key in (*own, "NAME")})


class Traffic:
    """Requests one after another, in several lanes, until told to stop; counts what was served."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.served = 0
        self.refused = 0
        self.last_served = 0.0
        self.slowest_s = 0.0
        self._stop = False

    async def run(self, lanes: int = 8) -> None:
        await asyncio.gather(*[self._lane() for _ in range(lanes)])

    def stop(self) -> None:
        self._stop = True

    async def _lane(self) -> None:
        while not self._stop:
            began = time.monotonic()
            try:
                hold = await api.admit(self.bank.wants(2))
            except BillingUnavailable:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                await asyncio.sleep(0.02)  # the upstream answers
                api.settle(self.bank.used(hold, 1))
                self.served += 1
                self.last_served = time.monotonic()
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_in_the_middle_loses_no_settlement(
    bank: Bank, server: Server, how: signal.Signals
) -> None:
    traffic = Traffic(bank)

    async def restart() -> float:
        work = asyncio.ensure_future(traffic.run())
        await asyncio.sleep(1)
        await asyncio.to_thread(server.stop, how)
        await asyncio.sleep(1.5)
        refused = traffic.refused
        assert refused > 0
        await asyncio.to_thread(server.start)
        back, served = time.monotonic(), traffic.served
        while traffic.served == served and time.monotonic() < back + 10:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        took_s = time.monotonic() - back
        await asyncio.sleep(1)
        traffic.stop()
        await work
        assert await api.drain(10)
        return took_s

    took_s = running(restart)

    assert took_s < 5
    assert traffic.slowest_s < 4
    settled = rows("SELECT count(*), sum(captured_nano) FROM settlement WHERE outcome = 1")
    assert settled == [(traffic.served, traffic.served * 2000)]
    assert bank.balance().posted == CREDIT - traffic.served * 2000
    # Holds whose acknowledgement was lost have no settlement; the sweeper frees them in time.
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")
    rows("SELECT * FROM sweep_holds_v1(500, 0, 'test')")
    assert bank.balance().held == 0
    assert broken() == {}


def test_what_is_settled_survives_a_crash_in_the_same_moment(bank: Bank, server: Server) -> None:
    # Nobody but the ledger makes PostgreSQL write to its disk.
    rows("ALTER SYSTEM SET wal_writer_delay = '10s'")
    rows("SELECT pg_reload_conf()")

    async def settle() -> None:
        for _ in range(20):
            api.settle(bank.used(await api.admit(bank.wants(2)), 1))
            assert await api.drain(5)
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        await asyncio.to_thread(server.start)

    running(settle)

    assert rows("SELECT count(*), sum(captured_nano) FROM settlement") == [(20, 40_000)]
    assert (bank.balance().posted, bank.balance().held) == (CREDIT - 40_000, 0)
    assert broken() == {}


def test_a_server_that_hangs_is_told_within_seconds_and_forgiven(
    bank: Bank, server: Server
) -> None:
    async def hang() -> tuple[float, Hold]:
        first = await api.admit(bank.wants(1))
        await asyncio.to_thread(server.pause, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(BillingUnavailable):
                await api.admit(bank.wants(1))
            took_s = time.monotonic() - began
            api.settle(bank.used(first, 1))
            await asyncio.sleep(0.2)
        finally:
            await asyncio.to_thread(server.pause, signal.SIGCONT)
        hold = await _patiently(bank)
        assert await api.drain(15)
        return took_s, hold

    took_s, hold = running(hang)

    assert took_s < 4
    assert rows("SELECT amount_nano FROM hold WHERE request_id = %s", hold.request_id) == [(2000,)]
    assert bank.balance().posted == CREDIT - 2000


async def _patiently(bank: Bank) -> Hold:
    deadline = time.monotonic() + 5
    while True:
        try:
            return await api.admit(bank.wants(1))
        except BillingUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def test_a_process_that_dies_in_an_outage_is_settled_by_the_next(
    bank: Bank, server: Server
) -> None:
    async def dies() -> None:
        holds = [await api.admit(bank.wants(1)) for _ in range(5)]
        await asyncio.to_thread(server.stop)
        for hold in holds:
            api.settle(bank.used(hold, 1))
        assert not await api.drain(0.3)

    leave()
    asyncio.run(dies())
    server.start()

    assert running(lambda: ledger.current().replay()) == 5
    assert (bank.balance().posted, bank.balance().held) == (CREDIT - 5 * 2000, 0)
    assert broken() == {}
