"""PostgreSQL for code on the event loop: small pools of prepared connections, and batches.

Every statement is one round trip and one transaction (autocommit). It must be safe to run twice:
one that fails because its idle connection had died (a restarted server) is run again on a fresh
one. Synchronous code (views, admin, commands) uses Django's own connections, not these.

Why not psycopg's pool: while the server is away its reconnects back off to minutes, and callers
wait out their whole time-out. Here a refused connection is an error at once, a hung one after a
second, and the first call after the server is back succeeds. No background task outlives a loop,
either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import psycopg
import structlog
from django.db import connections
from psycopg import errors
from psycopg.conninfo import make_conninfo

from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop, raise_if_cancelled
from ccapi.core.postgres_line import Line, Row

log = structlog.get_logger(__name__)

PoolName = Literal["main", "holds", "settlements"]
Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_S = 1.0  # a server that does not answer within this is away
ACQUIRE_S = 1.0  # how long a statement waits for a free connection
AWAY_S = 0.2  # after a failed connect nobody tries again for so long
STATEMENT_MS = 5_000
LOCK_MS = 1_000
# connections a process: statements are short, and money is batched, so few do
SIZES: dict[PoolName, int] = {"main": 4, "holds": 2, "settlements": 2}
# Two things a pool says of its statements, as PostgreSQL's own settings.
# Whether they are on the disk when they are answered. A crash of PostgreSQL may forget the last
# moments' holds: settling copes with a missing one. Settlements are made durable by a second
# statement before anybody relies on them (`billing.ledger`). All else waits for the disk itself.
# And how they are planned: the batches of money look up few rows by key, so once and by index. Left
# to itself PostgreSQL makes a new plan for each, which takes longer than the work (a hold of 0.6 ms
# becomes one of 0.3, a settlement of 1.3 one of 0.6), or keeps one of the day when the tables were
# empty, which reads all of them.
BY_KEY = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
OPTIONS: dict[PoolName, str] = {
    "main": "",
    "holds": f"-c synchronous_commit=off {BY_KEY}",
    "settlements": f"-c synchronous_commit=off {BY_KEY}",
}

TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction)


class Contended(BillingUnavailable):
    """The server is there, but a lock or a statement took too long."""


def conninfo(options: str = "") -> str:
    """Where Django's default database is (a test's own database while a test runs)."""
    database = connections["default"].settings_dict
    given = {"dbname": database["NAME"], "user": database["USER"], "password": database["PASSWORD"]}
    given |= {"host": database["HOST"], "port": database["PORT"]}
    given |= {name: value for name, value in database["OPTIONS"].items() if isinstance(value, str)}
    server = (
        f"-c synchronous_commit=on -c statement_timeout={STATEMENT_MS}"
        f" -c lock_timeout={LOCK_MS} -c timezone=UTC -c search_path=public"
    )
    options = f"{given.pop('options', '')} {server} {options}".strip()
    present = {name: value for name, value in given.items() if value}
    return make_conninfo(**present, options=options, application_name="ccapi")


class Pool:
    """At most `size` connections, opened when needed, most recently used first."""

    def __init__(self, name: PoolName) -> None:
        self.name = name
        self._conninfo = conninfo(OPTIONS[name])
        self._free = asyncio.Semaphore(SIZES[name])
        self._idle: list[Line] = []
        self._away_until = 0.0
        self.is_away = False

    async def run(self, sql: str, params: Sequence[Any], *, timeout_s: float) -> list[Row]:
        """Rows of one statement. Raises: BillingUnavailable."""
        if self._free.locked():
            try:
                async with asyncio.timeout(min(ACQUIRE_S, timeout_s)):
                    await self._free.acquire()
            except TimeoutError:
                raise Contended("The database is busy.") from None
        else:
            await self._free.acquire()
        try:
            return await self._run(sql, params, timeout_s)
        finally:
            self._free.release()
            raise_if_cancelled()

    async def _run(self, sql: str, params: Sequence[Any], timeout_s: float) -> list[Row]:
        deadline = time.monotonic() + timeout_s
        while True:
            reused = bool(self._idle)
            line = self._idle.pop() if reused else await self._connect()
            try:
                rows = await line.run(sql, params, timeout_s=timeout_s)
            except TRANSIENT as error:
                if line.is_whole:
                    self._put(line)
                    raise Contended("The database is busy.") from error
                # Whatever idled beside a dead connection is dead as well.
                await self.close()
                line.close()
                if reused and time.monotonic() < deadline:
                    continue
                raise BillingUnavailable("The database is away.") from error
            except BaseException:
                self._put(line)
                raise
            self._put(line)
            return rows

    def _put(self, line: Line) -> None:
        if line.is_whole:
            self._idle.append(line)
        else:
            line.close()

    async def _connect(self) -> Line:
        if time.monotonic() < self._away_until:
            raise BillingUnavailable("The database is away.")
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=0
                )
        except (TimeoutError, OSError, *TRANSIENT) as error:
            self._away_until = time.monotonic() + AWAY_S
            if not self.is_away:
                self.is_away = True
                log.warning("postgres.away", pool=self.name, error=type(error).__name__)
            raise BillingUnavailable("The database is away.") from error
        if self.is_away:
            self.is_away = False
            log.info("postgres.back", pool=self.name)
        return Line(connection)

    async def close(self) -> None:
        """Close what is idle; what runs goes on."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.close()


_pools: PerLoop[dict[PoolName, Pool]] = PerLoop(dict)
_running: set[asyncio.Task[list[Row]]] = set()


def pool(name: PoolName = "main") -> Pool:
    """The pool of that name of the running event loop."""
    pools = _pools.get()
    if name not in pools:
        pools[name] = Pool(name)
    return pools[name]


def is_away() -> bool:
    """Whether the last connection that this process tried to make was refused, in any pool."""
    return any(each.is_away for pools in _pools.values() for each in pools.values())


async def fetch_all(sql: str, params: Sequence[Any] = (), *, timeout_s: float = 2.0) -> list[Row]:
    """Rows of one statement that is safe to run twice.

    A cancelled caller leaves at once; the statement ends by itself and its connection stays whole.
    Raises: BillingUnavailable when PostgreSQL is away or too slow; psycopg.Error for a faulty
    statement.
    """
    task = asyncio.ensure_future(pool().run(sql, params, timeout_s=timeout_s))
    _running.add(task)
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


async def fetch_one(sql: str, params: Sequence[Any] = (), *, timeout_s: float = 2.0) -> Row | None:
    """The first row, or None. See `fetch_all`."""
    rows = await fetch_all(sql, params, timeout_s=timeout_s)
    return rows[0] if rows else None


def _retrieve(task: asyncio.Task[list[Row]]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # marked as seen: the caller may have left


async def close() -> None:
    """Close the idle connections of this event loop (at shutdown)."""
    for each in (_pools.pop() or {}).values():
        await each.close()


class Batcher(Generic[Item, Result]):
    """Runs `work(items)` over what has gathered, again and again; the next batch gathers meanwhile.

    No timer: alone, an item leaves at once; under load, batches grow by themselves. The batch
    runs in a task of its own, so a waiter that is cancelled cancels nothing: it leaves the queue
    if its batch has not begun, else `abandoned(item, result)` is told what came of it. `work`
    answers one result an item, in order. A batch that fails for a reason of its own (not because
    PostgreSQL is away) is run item by item, so that one poisonous item fails alone.
    """

    ALONE_S = 2.0  # how long a failed batch is tried item by item

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        size_max: int = 500,
        abandoned: Callable[[Item, Result], None] | None = None,
    ) -> None:
        self._work = work
        self._size_max = size_max
        self._abandoned = abandoned
        self._queue: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    async def run(self, item: Item) -> Result:
        """Queue an item and wait for its result. Raises: what `work` raises."""
        future = self.add(item)
        try:
            return await future
        except asyncio.CancelledError:
            # The result may have come in the very turn in which the waiter was cancelled.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._abandon(item, future.result())
            raise

    def add(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; its future need not be awaited, but `run` is what waiters want."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.append((item, future))
        if self._task is None:
            self._task = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._queue:
                part, self._queue = self._queue[: self._size_max], self._queue[self._size_max :]
                live = [pair for pair in part if not pair[1].done()]
                if live:
                    await self._run_batch(live)
        finally:
            self._task = None

    async def _run_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 — every waiter gets it, as its own
            if len(batch) == 1 or (
                isinstance(error, BillingUnavailable) and not isinstance(error, Contended)
            ):
                _fail(batch, error)
            else:
                log.warning("batch.split", items=len(batch), error=type(error).__name__)
                await self._run_alone(batch)
            return
        for (item, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
            else:
                self._abandon(item, result)

    def _abandon(self, item: Item, result: Result) -> None:
        if self._abandoned is not None:
            self._abandoned(item, result)

    async def _run_alone(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        deadline = time.monotonic() + self.ALONE_S
        for pair in batch:
            if time.monotonic() < deadline:
                await self._run_batch([pair])
            else:
                _fail([pair], BillingUnavailable("The database is busy."))


def _fail(batch: list[tuple[Item, asyncio.Future[Result]]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
