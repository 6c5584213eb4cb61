"""Following: a change is in every event loop and process within a second, Valkey or not."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings

from catalog import api, follower, prices
from catalog.types import Snapshot
from ccapi.core import postgres, valkey
from ccapi.core.errors import BillingUnavailable
from tests.catalog.catalog_documents import model, provider
from tests.databases import OwnDatabase, leave

WITHIN_S = 1.0
SLACK_S = 0.5  # what a busy test machine may add to the second
DEAD_VALKEY = "redis://127.0.0.1:1/0"

CHILD = """
import asyncio, django, json, sys, time
django.setup()
from catalog import api

async def main():
    snapshot = await api.current()
    print(json.dumps({"ready": sorted(snapshot.models)}), flush=True)
    while (await api.current()).revision == snapshot.revision:
        await asyncio.sleep(0.01)
    seen = await api.current()
    print(json.dumps({"models": sorted(seen.models), "at": time.time()}), flush=True)

asyncio.run(main())
"""


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def snapshot(self) -> Snapshot:
        return asyncio.run_coroutine_threadsafe(api.current(), self._loop).result(10)

    def close(self) -> None:
        async def leave() -> None:
            await api.close()
            await postgres.close()
            await valkey.close()

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def loops(own_database: OwnDatabase) -> Iterator[tuple[Loop, Loop]]:
    both = Loop(), Loop()
    yield both
    for each in both:
        each.close()


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 10
        time.sleep(0.005)
    return time.monotonic() - began


def test_two_event_loops_follow_a_change_without_valkey(
    loops: tuple[Loop, Loop], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = DEAD_VALKEY
    monkeypatch.setattr(valkey, "_publisher", None)
    assert all("alpha/new" not in loop.snapshot().models for loop in loops)

    api.import_document({"models": [model("alpha/new")]})
    took = seconds_until(lambda: all("alpha/new" in loop.snapshot().models for loop in loops))

    assert took < WITHIN_S + SLACK_S


def test_valkey_makes_it_faster_than_the_poll(
    loops: tuple[Loop, Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "POLL_S", 60.0)
    first, _ = loops
    first.snapshot()
    time.sleep(0.3)  # the subscription stands

    api.set_endpoint("off", "http://127.0.0.1:9/v1")

    assert seconds_until(lambda: "off" in first.snapshot().providers) < WITHIN_S + SLACK_S


def test_another_process_follows_a_change(own_database: OwnDatabase, settings: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={
            **os.environ,
            "DATABASE_URL": own_database.url,
            "REDIS_URL": DEAD_VALKEY,
            "DJANGO_SETTINGS_MODULE": "ccapi.settings",
            "PYTHONPATH": str(settings.BASE_DIR),
        },
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            lines = (json.loads(line) for line in child.stdout if line.startswith("{"))
            ready = next(lines)["ready"]
            assert "alpha/one" in ready
            assert "alpha/new" not in ready

            api.import_document({"models": [model("alpha/new")]})
            committed = time.time()
            seen = next(lines)
        finally:
            child.kill()  # it has said all that it has to say; and it ends with a failing test

    assert "alpha/new" in seen["models"]
    assert seen["at"] - committed < WITHIN_S + SLACK_S


def test_a_price_becomes_effective_in_time_without_any_change(loops: tuple[Loop, Loop]) -> None:
    first, _ = loops
    start = prices.database_now() + timedelta(seconds=1.5)
    later = model("alpha/one", prices={"input": "7.00", "output": "7.00"}, effective_from=start)
    api.import_document({"models": [later]})
    seconds_until(lambda: first.snapshot().models["alpha/one"].price is not None)
    revision = first.snapshot().revision
    assert input_pico(first) == 1_000_000_000_000

    seconds_until(lambda: input_pico(first) == 7_000_000_000_000)

    late_s = (prices.database_now() - start).total_seconds()
    assert 0 <= late_s < WITHIN_S + SLACK_S
    assert (
        api.current_sync().models["alpha/one"].price == first.snapshot().models["alpha/one"].price
    )
    assert first.snapshot().revision >= revision


def input_pico(loop: Loop) -> int:
    price = loop.snapshot().models["alpha/one"].price
    assert price is not None
    return price.rates["input"].pico


def test_the_last_good_snapshot_serves_while_postgresql_is_away(
    loops: tuple[Loop, Loop], own_database: OwnDatabase
) -> None:
    first, second = loops
    assert "alpha/one" in first.snapshot().models

    with own_database.away():
        time.sleep(follower.POLL_S + 0.3)
        assert "alpha/one" in first.snapshot().models
        with pytest.raises(BillingUnavailable):
            second.snapshot()

    leave()  # Django's connections are dead
    time.sleep(postgres.AWAY_S)  # nobody tries again sooner
    assert "alpha/one" in second.snapshot().models
    api.import_document({"providers": [provider("late")], "models": [model("late/x")]})
    seconds_until(lambda: all("late/x" in loop.snapshot().models for loop in loops))


def test_a_failure_of_any_kind_does_not_end_the_following(
    loops: tuple[Loop, Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = loops
    before = first.snapshot()
    with monkeypatch.context() as broken:
        broken.setattr(follower, "build", lambda *_: 1 // 0)
        api.import_document({"models": [model("alpha/new")]})
        time.sleep(follower.POLL_S + 0.3)
        assert first.snapshot() is before

    seconds_until(lambda: "alpha/new" in first.snapshot().models)
