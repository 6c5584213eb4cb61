"""Keeping the snapshot fresh: a task per event loop for the walk, a look per call for Django.

The task asks PostgreSQL for the revision about once a second; Valkey only wakes it sooner. Whatever
goes wrong, the last good snapshot serves on.
"""

import asyncio
import contextlib
import threading
from typing import Any

import psycopg
import structlog
from django.db import connection

from catalog.importer import CHANNEL
from catalog.snapshot import CATALOG, STATE, Loaded, build
from catalog.types import Snapshot
from ccapi.core import postgres, valkey
from ccapi.core.errors import BillingUnavailable

log = structlog.get_logger(__name__)

POLL_S = 0.8  # with the load that follows, a change is here within a second
LOAD_TIMEOUT_S = 5.0


class Follower:
    """The snapshot of one event loop, and the task that follows its changes."""

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        self._wake = asyncio.Event()
        self._first: asyncio.Task[Loaded] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failing = False

    async def first(self) -> Snapshot:
        """Load once, whoever asks meanwhile. Raises: BillingUnavailable when PostgreSQL is away."""
        if self._first is None:
            self._first = asyncio.create_task(self._load(), name="catalog:first")
        try:
            loaded = await asyncio.shield(self._first)
        except Exception:
            self._first = None  # the next request tries again
            raise
        if not self._tasks:
            self._tasks = [
                valkey.subscribe(CHANNEL, lambda _message: self._wake.set()),
                asyncio.create_task(self._follow(), name="catalog:follow"),
            ]
        return loaded.snapshot

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    async def _look(self) -> None:
        try:
            (row,) = await postgres.fetch_all(STATE)
            if self.loaded is None or not self.loaded.is_fresh(row):
                await self._load()
        except Exception as error:  # noqa: BLE001 — a dead follower serves old prices
            if not self._failing:
                away = isinstance(error, BillingUnavailable | psycopg.OperationalError)
                tell = log.warning if away else log.error
                tell("catalog.not_followed", error=type(error).__name__, exc_info=not away)
            self._failing = True
        else:
            self._failing = False

    async def _load(self) -> Loaded:
        (row,) = await postgres.fetch_all(CATALOG, timeout_s=LOAD_TIMEOUT_S)
        self.loaded = build(row, self.loaded)
        log.info("catalog.loaded", revision=self.loaded.snapshot.revision)
        return self.loaded


_followers: dict[asyncio.AbstractEventLoop, Follower] = {}


async def current() -> Snapshot:
    """The snapshot of now: in memory, no I/O, once the first use of this event loop has loaded it.

    Raises: BillingUnavailable when PostgreSQL is away at that first use.
    """
    loop = asyncio.get_running_loop()
    follower = _followers.get(loop)
    if follower is None:
        for closed in [each for each in list(_followers) if each.is_closed()]:
            _followers.pop(closed, None)
        follower = _followers[loop] = Follower()
    if follower.loaded is not None:
        return follower.loaded.snapshot
    return await follower.first()


async def close() -> None:
    """Stop following on this event loop (at shutdown)."""
    follower = _followers.pop(asyncio.get_running_loop(), None)
    if follower is not None:
        await follower.stop()


_process: Loaded | None = None
_process_lock = threading.Lock()


def current_sync() -> Snapshot:
    """The same for views and commands, on Django's connection: one small query when all is fresh.

    It sees what its own transaction has written.
    """
    global _process  # noqa: PLW0603 — one for all threads
    with connection.cursor() as cursor:
        cursor.execute(STATE)
        state: tuple[Any, ...] = cursor.fetchone()
        loaded = _process
        if loaded is None or not loaded.is_fresh(state):
            cursor.execute(CATALOG)
            loaded = build(cursor.fetchone(), loaded)
            with _process_lock:
                _process = loaded
    return loaded.snapshot
