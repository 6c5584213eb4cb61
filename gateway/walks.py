"""The walks in flight, and who of them is ended before its time.

A client that leaves: its provider's policy decides. Where the provider stops billing when we hang
up, the walk ends at once; where it bills to the end anyway, the answer is read on (a drain), so
that the bill is the provider's; drains are capped in number and in time. A process that is told to
end gives its walks a time, and ends the rest. How a walk that is ended closes its books, and what
its client is told, is `gateway.ends`.
"""

import asyncio

import structlog
from django.conf import settings

from ccapi.core import ids
from ccapi.core.loops import PerLoop
from gateway.exchange import Exchange

log = structlog.get_logger(__name__)


class Walk:
    """One exchange and the task that walks it."""

    __slots__ = ("exchange", "task")

    def __init__(self, exchange: Exchange, task: "asyncio.Task[None]") -> None:
        self.exchange = exchange
        self.task = task

    def stop(self) -> None:
        """End it now. Whether for its client or for us, the exchange knows."""
        if not self.exchange.stopped and not self.task.done():
            self.exchange.stopped = True
            self.task.cancel()


class Walks:
    """Those of one event loop. The set keeps their tasks alive."""

    def __init__(self) -> None:
        self.running: set[Walk] = set()
        self.is_over = False  # the time that a shutdown gives has passed
        self._drains: dict[Walk, asyncio.TimerHandle] = {}
        self._end: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def drains(self) -> int:
        """Answers that are read on for clients who left."""
        return len(self._drains)

    def begin(self, exchange: Exchange, task: "asyncio.Task[None]") -> Walk:
        walk = Walk(exchange, task)
        self.running.add(walk)
        return walk

    def ended(self, walk: Walk) -> None:
        """The walk is over; nothing happens to one that was forgotten already."""
        self.running.discard(walk)
        if self._drains and (timer := self._drains.pop(walk, None)) is not None:
            timer.cancel()
        if not walk.exchange.settled:
            # Cancelled before its first step: nothing of it ran, not even what closes its books.
            walk.exchange.void(status="client_cancelled", error=None)

    def client_left(self, walk: Walk) -> None:
        """Follow the policy of the provider that is being asked."""
        exchange = walk.exchange
        if exchange.client_left or walk.task.done():
            return
        exchange.client_left = True
        exchange.reservation.leave()  # its slot; what it used is settled with the rest
        if exchange.candidate.offer.provider.on_disconnect == "cancel":
            walk.stop()
        elif len(self._drains) >= settings.CCAPI_DRAINS_MAX:
            # The newest one goes: those that drain already are nearer to their end.
            log.warning(
                "drain.refused",
                request_id=ids.request_id(exchange.request_id),
                drains=len(self._drains),
            )
            walk.stop()
        else:
            self._drains[walk] = self._loop.call_later(settings.CCAPI_DRAIN_S, walk.stop)

    def end_within(self, seconds: float) -> None:
        """Give the walks so long, then end what is left. A later call may only hurry."""
        due = self._loop.time() + seconds
        if self._end is not None:
            if self._end.when() <= due:
                return
            self._end.cancel()
        self._end = self._loop.call_at(due, self._end_all)

    def _end_all(self) -> None:
        self.is_over = True
        if self.running:
            log.warning("shutdown.walks_ended", walks=len(self.running))
        for walk in tuple(self.running):
            walk.stop()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the walks in flight; whether all ended in that time."""
        if not self.running:
            return True
        _, pending = await asyncio.wait({walk.task for walk in self.running}, timeout=timeout_s)
        return not pending


_walks = PerLoop(Walks)


def current() -> Walks:
    """The walks of the running event loop."""
    return _walks.get()
