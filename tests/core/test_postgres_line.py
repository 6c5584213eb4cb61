"""`ccapi.core.postgres_line`: statements over libpq, on the loops of production and of tests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg import errors

from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from ccapi.core.postgres_line import Line, numbered

pytestmark = pytest.mark.django_db(transaction=True)
LOOPS = pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
Runner = Callable[[Any], Any]

PID = "SELECT pg_backend_pid()"
END = "SELECT pg_terminate_backend(%s)"


async def opened() -> Line:
    return Line(
        await psycopg.AsyncConnection.connect(
            postgres.conninfo(), autocommit=True, prepare_threshold=0
        )
    )


def on_a_line(run: Runner, work: Callable[[Line], Awaitable[Any]]) -> Any:  # noqa: ANN401 — rows
    async def main() -> object:
        line = await opened()
        try:
            return await work(line)
        finally:
            line.close()

    return run(main())


@LOOPS
def test_values_go_there_and_back(run: Runner) -> None:
    async def ask(line: Line) -> list[Any]:
        sql = "SELECT %s::text, %s::float8, %s::bigint[], %s::bytea, %s::int, 7 %% 4, NULL"
        given = ("ä'%s$1", 1.5, [1, 2], b"\0x", None)
        return [await line.run(sql, given, timeout_s=2) for _ in range(2)]

    expected = [("ä'%s$1", 1.5, [1, 2], b"\0x", None, 3, None)]
    assert on_a_line(run, ask) == [expected, expected]


@LOOPS
def test_one_text_with_values_of_several_sizes_is_several_statements(run: Runner) -> None:
    async def ask(line: Line) -> list[Any]:
        values = (1, 2**40, 10**30, 1, 2**40)
        return [await line.run("SELECT %s + 1", (n,), timeout_s=2) for n in values]

    assert on_a_line(run, ask) == [[(2,)], [(2**40 + 1,)], [(10**30 + 1,)], [(2,)], [(2**40 + 1,)]]


@LOOPS
def test_more_than_a_socket_takes_at_once_goes_through(run: Runner) -> None:
    text = "x" * 20_000_000

    async def ask(line: Line) -> Any:  # noqa: ANN401 — rows
        return await line.run("SELECT %s::text", (text,), timeout_s=20)

    assert on_a_line(run, ask) == [(text,)]


@LOOPS
def test_a_faulty_statement_leaves_the_line_whole(run: Runner) -> None:
    async def ask(line: Line) -> Any:  # noqa: ANN401 — rows
        for _ in range(2):
            with pytest.raises(errors.UndefinedTable):
                await line.run("SELECT * FROM nowhere", (), timeout_s=2)
            with pytest.raises(errors.DivisionByZero):
                await line.run("SELECT 1 / %s", (0,), timeout_s=2)
            assert line.is_whole
        return await line.run("SELECT 1", (), timeout_s=2)

    assert on_a_line(run, ask) == [(1,)]


@LOOPS
def test_a_table_that_changes_below_a_plan_fails_once(run: Runner) -> None:
    async def ask(line: Line) -> Any:  # noqa: ANN401 — rows
        await line.run("CREATE TEMP TABLE t AS SELECT 1 AS a", (), timeout_s=2)
        await line.run("SELECT * FROM t", (), timeout_s=2)
        await line.run("ALTER TABLE t ADD COLUMN b int", (), timeout_s=2)
        with pytest.raises(errors.FeatureNotSupported):
            await line.run("SELECT * FROM t", (), timeout_s=2)
        return await line.run("SELECT * FROM t", (), timeout_s=2)

    assert on_a_line(run, ask) == [(1, None)]


@LOOPS
def test_a_cancelled_statement_leaves_a_line_that_is_not_whole(run: Runner) -> None:
    async def ask(line: Line) -> bool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await line.run("SELECT pg_sleep(5)", (), timeout_s=9)
        return line.is_whole

    assert on_a_line(run, ask) is False


@LOOPS
def test_a_statement_that_takes_too_long_is_cut(run: Runner) -> None:
    async def ask(line: Line) -> bool:
        with pytest.raises(psycopg.OperationalError):
            await line.run("SELECT pg_sleep(5)", (), timeout_s=0.1)
        return line.is_whole

    assert on_a_line(run, ask) is False


@LOOPS
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_line_that_the_server_ends_is_told_so(busy: bool, run: Runner) -> None:
    async def ask(line: Line) -> bool:
        ((pid,),) = await line.run(PID, (), timeout_s=2)
        other = await opened()
        if busy:
            work = asyncio.ensure_future(line.run("SELECT pg_sleep(5)", (), timeout_s=9))
            await asyncio.sleep(0.05)
        await other.run(END, (pid,), timeout_s=2)
        other.close()
        if busy:
            with pytest.raises(psycopg.OperationalError):
                await work
        await asyncio.sleep(0.05)
        assert not line.is_whole
        with pytest.raises(psycopg.OperationalError):
            await line.run("SELECT 1", (), timeout_s=2)
        return line.is_whole

    assert on_a_line(run, ask) is False


@LOOPS
def test_lines_that_end_take_no_other_connection_with_them(run: Runner) -> None:
    """Its descriptor is closed by libpq itself, and its number is the next connection's."""

    async def lane(pool: postgres.Pool, pids: set[int]) -> int:
        served = 0
        for _ in range(60):
            try:
                rows = await pool.run(PID, (), timeout_s=2)
                pids.add(rows[0][0])
                await pool.run("SELECT pg_sleep(0.001)", (), timeout_s=2)
                served += 1
            except BillingUnavailable:
                await asyncio.sleep(0.001)
        return served

    async def main() -> list[int]:
        pids: set[int] = set()
        ending = await opened()
        pool = postgres.Pool("main")
        async with asyncio.timeout(20):
            lanes = [asyncio.ensure_future(lane(pool, pids)) for _ in range(4)]
            while not all(task.done() for task in lanes):
                for pid in tuple(pids):
                    await ending.run(END, (pid,), timeout_s=2)
                pids.clear()
                await asyncio.sleep(0.003)
            assert await pool.run("SELECT 1", (), timeout_s=2) == [(1,)]
        await pool.close()
        ending.close()
        return [task.result() for task in lanes]

    assert min(run(main())) > 0


def test_a_placeholder_of_another_kind_is_refused() -> None:
    assert numbered("a = %s AND b LIKE '%%x' AND c = %s") == b"a = $1 AND b LIKE '%x' AND c = $2"
    with pytest.raises(ValueError, match="%b"):
        numbered("SELECT %b")
