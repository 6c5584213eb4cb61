"""Vitals: when a process says that it has too much to do."""

import asyncio
import time

from ccapi.core import vitals
from ccapi.core.vitals import PROBE_S


def test_a_loop_that_is_on_time_is_not_late() -> None:
    async def run() -> tuple[bool, float]:
        here = vitals.current()
        await asyncio.sleep(3 * PROBE_S)
        return here.is_late, here.lag_s

    is_late, lag_s = asyncio.run(run())

    assert not is_late
    assert lag_s < 0.5


def test_one_hiccup_is_not_overload_and_a_standing_queue_is_until_it_is_gone() -> None:
    async def run() -> list[bool]:
        here = vitals.current()
        seen = []
        for _ in range(2):
            time.sleep(PROBE_S + 0.55)  # noqa: ASYNC251 - what a loop that does not keep up does
            await asyncio.sleep(0)  # timers that are due run
            await asyncio.sleep(0)
            seen.append(here.is_late)
        await asyncio.sleep(2 * PROBE_S)
        return [*seen, here.is_late]

    assert asyncio.run(run()) == [False, True, False]
