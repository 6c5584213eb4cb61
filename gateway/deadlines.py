"""The time limits of one attempt, and the one timer that holds it to them.

A timer that is set anew for each wait costs more than the wait. This one looks, when it goes off,
whether time is really up. What is being waited for is `gateway.attempt`'s affair.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from catalog.types import Timeouts
from ccapi.core import clock
from gateway.exchange import Exchange
from gateway.transport.client import Upstream, failed

# A timer goes off at least so often, in seconds: who is waited for until then may be anybody.
LOOK_S = 60.0
# The event loop's clock has milliseconds: a timer that is set for less would go off at once.
GRAIN_S = 0.002

T = TypeVar("T")


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


class Limit:
    """One timer for all that one attempt waits for; `end` it in any case.

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

    def pause(self) -> None:
        """Nothing is waited for, until it is moved."""
        self._due = inf

    def end(self) -> None:
        self._timer.cancel()

    def expired(self) -> bool:
        """Whether a cancellation that just came was this one's, and nobody else's as well."""
        return self._expired and self._task is not None and not self._task.uncancel()

    def _set(self, at: float) -> None:
        self._at = at  # when the timer goes off
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._due - now > GRAIN_S:
            self._set(min(self._due, now + LOOK_S))
        elif self._task is not None:
            self._expired = True
            self._task.cancel()


class Reader:
    """Reads of one stream under its deadlines; time spent writing to a slow client does not count.

    `limit` is the attempt's, which began with its request.
    """

    def __init__(
        self, exchange: Exchange, upstream: Upstream, deadlines: Deadlines, limit: Limit
    ) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._deadlines = deadlines
        self._limit = limit
        limit.pause()

    async def read(self) -> bytes:
        """Whatever has come; b"" at a proper end. Raises: AttemptFailed."""
        since = clock.monotonic()
        try:
            return await self._waited_for(self._upstream.read())
        finally:
            if self._exchange.first_byte_ms is None:
                self._exchange.waited(since)

    async def pass_on(self, take: Callable[[bytes], bool]) -> None:
        """Give what comes to `take` as `Upstream.pass_on` does. Raises: AttemptFailed if it stalls.

        To be followed by `read`, which tells what ended it.
        """
        limit, deadlines = self._limit, self._deadlines

        def taken(data: bytes) -> bool:
            limit.move(deadlines.next())
            return take(data)

        await self._waited_for(self._upstream.pass_on(taken))

    async def _waited_for(self, wait: Awaitable[T]) -> T:
        self._limit.move(self._deadlines.next())
        try:
            return await wait
        except asyncio.CancelledError:
            if not self._limit.expired():
                raise
            raise failed("timeout", "The provider stopped answering.") from None
        finally:
            self._limit.pause()
