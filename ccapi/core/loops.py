"""One value per event loop: pools, batchers and tasks belong to the loop that made them."""

import asyncio
from collections.abc import Callable
from threading import get_ident
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class _Last(NamedTuple, Generic[Value]):
    """The last answer, and for whom it was."""

    thread: int
    loop: asyncio.AbstractEventLoop
    value: Value


class PerLoop(Generic[Value]):
    """Made on first use in each event loop; forgotten once its loop is closed.

    No weak references: such values refer to their loop, and would keep it alive for ever.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}
        # A web process has one loop: the last answer is nearly always the next one.
        self._last: _Last[Value] | None = None

    def get(self) -> Value:
        last = self._last
        # A loop that runs, and was this thread's before, is the one that runs here. To ask asyncio
        # is a system call each time (Python 3.11: getpid), and a request asks a dozen times.
        if last is not None and last.thread == get_ident() and last.loop.is_running():
            return last.value
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            for other in [loop for loop in self._values if loop.is_closed()]:
                del self._values[other]
            value = self._values[loop] = self._make()
        self._last = _Last(get_ident(), loop, value)
        return value

    def pop(self) -> Value | None:
        """Forget this loop's value; None if there is none."""
        self._last = None
        return self._values.pop(asyncio.get_running_loop(), None)

    def values(self) -> list[Value]:
        """Those of the loops that are open, whoever asks."""
        return [value for loop, value in list(self._values.items()) if not loop.is_closed()]


def raise_if_cancelled() -> None:
    """Raise the cancellation of this task that a library has lost.

    On Python 3.11 `asyncio.wait_for` (psycopg waits with it) drops a cancellation that comes in the
    same turn as its result. A loop that runs for ever would then never end, and `asyncio.run` with
    it; the task itself still knows. Source: python/cpython issue 86296 (fixed in 3.12).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
