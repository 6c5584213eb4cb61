"""One connection to PostgreSQL as the event loop uses it: prepared statements, one at a time.

psycopg connects, converts values and knows the errors; sending and waiting is done here, over
libpq, with one reader that stays registered. psycopg's own cursor registers and removes its reader
for every statement (nine system calls) and walks through generators and a `wait_for`: 80 µs of CPU
a statement, against 20 here, and a quarter of a millisecond until the answer is seen. Which
connection runs what, and what an error means, is `ccapi.core.postgres`.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]

LOOK_S = 0.2

_PLACEHOLDER = re.compile(rb"%(.)")
_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})


class Line:
    """Owns its connection: nobody else may use it."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self._connection = connection  # kept: it owns what libpq points to
        self._libpq = connection.pgconn
        self._values = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._libpq.socket
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._made = 0  # statements prepared so far
        self._waiter: asyncio.Future[None] | None = None
        self._fault: psycopg.Error | None = None
        self._deadline = 0.0  # of the statement that runs
        self._timer: asyncio.TimerHandle
        self._is_watched = True
        self._loop.add_reader(self._descriptor, self._readable)

    @property
    def is_whole(self) -> bool:
        """Whether it may run another statement."""
        return (
            self._is_watched
            and self._libpq.status == ConnStatus.OK
            and self._libpq.transaction_status == TransactionStatus.IDLE
        )

    async def run(self, sql: str, params: Sequence[Any], *, timeout_s: float) -> list[Row]:
        """Rows of one statement. Raises: psycopg.Error.

        A caller that is cancelled leaves a line that is not whole.
        """
        self._deadline = self._loop.time() + timeout_s
        self._timer = self._loop.call_later(min(LOOK_S, timeout_s), self._look)
        try:
            return await self._run(sql, params)
        except psycopg.Error:
            if self._libpq.status != ConnStatus.OK:
                self._unwatch()
            raise
        finally:
            self._timer.cancel()

    async def _run(self, sql: str, params: Sequence[Any]) -> list[Row]:
        values = self._values
        data = values.dump_sequence(params, [PyFormat.AUTO] * len(params))
        key = (sql, values.types or ())
        formats = values.formats
        name = self._names.get(key)
        if name is None:
            name = await self._prepare(key)
        self._libpq.send_query_prepared(
            name, data, param_formats=formats, result_format=Format.BINARY
        )
        try:
            result = await self._result()
        except errors.FeatureNotSupported:
            del self._names[key]  # a table changed below a plan: the next try makes a new one
            raise
        values.set_pgresult(result)
        try:
            return values.load_rows(0, result.ntuples, tuple)
        finally:
            values.set_pgresult(None)

    async def _prepare(self, key: tuple[str, tuple[int, ...]]) -> bytes:
        sql, types = key
        self._made += 1
        name = b"ccapi_%d" % self._made
        self._libpq.send_prepare(name, numbered(sql), param_types=types)
        await self._result()
        self._names[key] = name
        return name

    async def _result(self) -> PGresult:
        """What the statement that was just sent came to. Raises: psycopg.Error."""
        libpq = self._libpq
        while libpq.flush():
            # More than the socket takes at once; the answer may be on its way already.
            self._loop.add_writer(self._descriptor, self._wake)
            try:
                await self._wait()
            finally:
                if self._is_watched:
                    self._loop.remove_writer(self._descriptor)
        last: PGresult | None = None
        while True:
            while libpq.is_busy():
                await self._wait()
            result = libpq.get_result()
            if result is None:
                break
            last = result
        if last is None:
            raise psycopg.OperationalError("the connection was closed")
        if last.status in _FAILED:
            raise errors.error_from_result(last, encoding=self._connection.info.encoding)
        return last

    async def _wait(self) -> None:
        if self._fault is not None:
            raise self._fault
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _readable(self) -> None:
        if not self._is_watched:
            return
        try:
            self._libpq.consume_input()
        except psycopg.Error as error:
            self._fault = error
            self._unwatch()
        if self._fault is not None or not self._libpq.is_busy():
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._fault is not None:
            waiter.set_exception(self._fault)
        else:
            waiter.set_result(None)

    def _look(self) -> None:
        """Now and then during a long statement: has its time run out, has the connection?

        A connection that was reset (not closed) stops its reader under uvloop without a word:
        libuv answers EPOLLERR with EBADF, and uvloop calls nobody.
        """
        left = self._deadline - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(min(LOOK_S, left), self._look)
            self._readable()
        else:
            # Given up, whatever the server does; hanging up tells it.
            self._fault = psycopg.OperationalError("the statement took too long")
            self._unwatch()
            self._wake()

    def close(self) -> None:
        """Hang up, also in the middle of a statement."""
        self._unwatch()
        self._libpq.finish()

    def _unwatch(self) -> None:
        # At once when the connection is lost: libpq has closed its descriptor by then, and the
        # next one that is opened may have the same number.
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)


def numbered(sql: str) -> bytes:
    """`%s` → `$1`, `$2`, …; `%%` → `%`. Raises: ValueError for any other use of `%`."""
    count = 0

    def replaced(match: re.Match[bytes]) -> bytes:
        nonlocal count
        if match[1] == b"%":
            return b"%"
        if match[1] != b"s":
            raise ValueError(f"{match[0]!r} in a statement: only %s and %% are known")
        count += 1
        return b"$%d" % count

    return _PLACEHOLDER.sub(replaced, sql.encode())
