"""The time limits of one attempt, and the timers that hold it to them: one timer each.

A timer that is set anew for each wait costs more than the wait. These look, when they go off,
whether time is really up. What is being waited for is `gateway.attempt`'s affair.
"""

import asyncio

from catalog.types import Timeouts
from ccapi.core import clock
from gateway.exchange import Exchange
from gateway.transport.client import Upstream, failed

# While a client takes its time, whether it still does is looked at so often, in seconds.
LOOK_S = 0.1
# The event loop's clock has milliseconds: a timer that is set for less would go off at once.
GRAIN_S = 0.002


class Deadlines:
    """The time limits of one attempt, on the event loop's clock.

    To the first content, between reads after it, and in all. A streamed answer gets less time for
    its first content while another candidate is left. A whole answer sends nothing until it is
    written, so the limit to the first byte is its limit for thinking and writing: the longer one,
    whatever is left. `within_s` is what is left of the time for all attempts.
    """

    def __init__(
        self, timeouts: Timeouts, *, stream: bool, has_alternative: bool, within_s: float
    ) -> None:
        self._now = asyncio.get_running_loop().time
        now = self._now()
        self._idle = timeouts.idle
        self._total = now + min(timeouts.total, within_s)
        if not stream:
            first = timeouts.first_byte if has_alternative else timeouts.total
        elif has_alternative:
            first = min(timeouts.first_byte_with_alternative, timeouts.first_byte)
        else:
            first = timeouts.first_byte
        self._first = min(now + first, self._total)
        self._has_content = False

    def content_came(self) -> None:
        self._has_content = True

    def next(self) -> float:
        """When the next read must have given something."""
        if self._has_content:
            return min(self._now() + self._idle, self._total)
        return self._first


class Reader:
    """Reads of one stream under its deadlines, with one timer for all of them.

    A timer a read would cost more than the read. This one looks, when it goes off, whether the read
    at hand is overdue, and is set again if not. Time spent writing to a slow client does not count.
    """

    def __init__(self, exchange: Exchange, upstream: Upstream, deadlines: Deadlines) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._due: float | None = None  # of the read at hand; None between reads
        self._expired = False
        self._timer = self._loop.call_at(deadlines.next(), self._look)

    def close(self) -> None:
        self._timer.cancel()

    async def read(self) -> bytes:
        """Whatever has come; b"" at a proper end. Raises: AttemptFailed."""
        self._due = self._deadlines.next()
        since = clock.monotonic()
        try:
            return await self._upstream.read()
        except asyncio.CancelledError:
            if not self._expired or self._task is None:
                raise
            self._task.uncancel()
            raise failed("timeout", "The provider stopped answering.") from None
        finally:
            self._due = None
            if self._exchange.first_byte_ms is None:
                self._exchange.waited(since)

    def _look(self) -> None:
        now = self._loop.time()
        if self._due is None:
            # A client that takes its time may outlast every limit: look again, but not at once.
            again = max(self._deadlines.next(), now + LOOK_S)
            self._timer = self._loop.call_at(again, self._look)
        elif self._due - now > GRAIN_S:
            self._timer = self._loop.call_at(self._due, self._look)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()


class Limit:
    """One timer for an attempt that is waited for as a whole; `end` it in any case.

    asyncio's `timeout` makes an object and a timer, and one more timer each time it is set anew:
    8 µs for an attempt, against 2 here.
    """

    __slots__ = ("_at", "_due", "_expired", "_loop", "_task", "_timer")

    def __init__(self, due: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._due = due
        self._expired = False
        self._set(due)

    def move(self, due: float) -> None:
        """It is due then, later or sooner."""
        self._due = due
        if due < self._at:
            self._timer.cancel()
            self._set(due)

    def end(self) -> None:
        self._timer.cancel()

    def expired(self) -> bool:
        """Whether a cancellation that just came was this one's, and nobody else's as well."""
        return self._expired and self._task is not None and not self._task.uncancel()

    def _set(self, at: float) -> None:
        self._at = at  # when the timer goes off
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        if self._due - self._loop.time() > GRAIN_S:
            self._set(self._due)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
