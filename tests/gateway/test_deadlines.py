"""The one timer of an attempt that is waited for as a whole."""

import asyncio

import pytest

from gateway.deadlines import Limit


async def waits(limit: Limit, seconds: float) -> str:
    """How a wait of so long ends under this limit."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if not limit.expired():
            raise
        return "late"
    finally:
        limit.end()
    return "in time"


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_a_wait_that_ends_in_time_leaves_no_timer() -> None:
    async def walk() -> str:
        told = await waits(Limit(soon(0.05)), 0.0)
        await asyncio.sleep(0.1)
        return told

    assert asyncio.run(walk()) == "in time"


def test_a_wait_that_is_late_is_cancelled_and_the_task_goes_on() -> None:
    async def walk() -> tuple[str, int]:
        told = await waits(Limit(soon(0.01)), 5.0)
        task = asyncio.current_task()
        assert task is not None
        return told, task.cancelling()

    assert asyncio.run(walk()) == ("late", 0)


@pytest.mark.parametrize(("first", "then", "told"), [(0.01, 5.0, "in time"), (5.0, 0.01, "late")])
def test_a_limit_that_is_moved_holds_from_then_on(first: float, then: float, told: str) -> None:
    async def walk() -> str:
        limit = Limit(soon(first))
        limit.move(soon(then))
        return await waits(limit, 0.1)

    assert asyncio.run(walk()) == told


def test_somebody_elses_cancellation_is_not_taken_for_the_limits() -> None:
    async def walk() -> None:
        limit = Limit(soon(0.05))
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        await waits(limit, 5.0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(walk())


def test_both_at_once_is_somebody_elses() -> None:
    async def walk() -> None:
        limit = Limit(soon(0.01))
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_at(soon(0.01), task.cancel)
        await waits(limit, 5.0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(walk())
