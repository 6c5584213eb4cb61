"""One event loop for each worker process: tasks are plain Django code around `run(coroutine)`.

It lives in a thread of its own for as long as the process, so that what belongs to a loop (pools of
connections, the breakers' board, limits) is kept between tasks and goes on hearing from the other
processes. Made on first use, which is after the fork.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from billing.api import close_limits
from ccapi.core import postgres, valkey
from ccapi.core.metrics import sampler
from gateway.routing import board
from media_jobs.drivers import http as drivers

Value = TypeVar("Value")

CLOSE_S = 5.0

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def submit(coroutine: Coroutine[Any, Any, Value]) -> "concurrent.futures.Future[Value]":
    """Run it on this process's loop, without waiting."""
    return asyncio.run_coroutine_threadsafe(coroutine, _started())


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run it on this process's loop and wait. An exception in the waiting thread cancels it."""
    future = submit(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def close() -> None:
    """Close what belongs to the loop, and end it (at the process's end)."""
    global _loop
    with _lock:
        loop, _loop = _loop, None
    if loop is None:
        return
    # What does not close in time ends with the process.
    with contextlib.suppress(concurrent.futures.TimeoutError):
        asyncio.run_coroutine_threadsafe(_close(), loop).result(CLOSE_S)
    loop.call_soon_threadsafe(loop.stop)


def _started() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603 — one loop a process
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="media_jobs", daemon=True).start()
        return _loop


async def begin() -> None:
    """What goes on on the loop while no task is there."""
    sampler.start()


async def _close() -> None:
    sampler.stop()
    close_limits()
    board.close()
    await drivers.close()
    await valkey.close()
    await postgres.close()
