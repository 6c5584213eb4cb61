"""Vitals of this process: whether its event loop keeps up, how much it carries, whether it ends.

Cheap enough to be looked at before every request. What follows from them is decided by those who
look: `gateway.consumers` refuses, `ccapi.health` tells, `ccapi.lifespan` ends.
"""

import asyncio
import time

import structlog
from django.conf import settings

from ccapi.core.loops import PerLoop

log = structlog.get_logger(__name__)

PROBE_S = 0.1
# One late probe is a hiccup (a collection, a slow disk); a queue that stands makes two.
LATE_PROBES = 2


class Vitals:
    """Those of one event loop. Its probe is a timer, so nothing needs to be stopped."""

    def __init__(self) -> None:
        self.in_flight = 0  # chat requests between their head and the end of their answer
        self.draining = False  # told to end: `/readyz` says no, connections are not kept
        self.lag_s = 0.0  # how late the last probe was
        self._late = 0
        self._loop = asyncio.get_running_loop()
        self._limit_s = settings.CCAPI_OVERLOAD_LAG_S
        self._in_flight_max = settings.CCAPI_CONCURRENT_MAX
        self._due = self._next()

    def enter(self) -> "Place":
        """One more request is in flight, until it leaves its place."""
        self.in_flight += 1
        return Place(self)

    @property
    def is_late(self) -> bool:
        """Whether callbacks have been waiting for longer than CCAPI_OVERLOAD_LAG_S, repeatedly."""
        return self._late >= LATE_PROBES

    @property
    def is_full(self) -> bool:
        return self.in_flight >= self._in_flight_max

    def _next(self) -> float:
        self._loop.call_later(PROBE_S, self._probe)
        return time.monotonic() + PROBE_S

    def _probe(self) -> None:
        self.lag_s = max(0.0, time.monotonic() - self._due)
        was_late = self.is_late
        self._late = self._late + 1 if self.lag_s > self._limit_s else 0
        if self.is_late and not was_late:
            log.warning("loop.late", lag_s=round(self.lag_s, 3), in_flight=self.in_flight)
        self._due = self._next()


class Place:
    """Of one request in flight. An answer that is read on for a client who left needs none."""

    __slots__ = ("_vitals",)

    def __init__(self, vitals: Vitals) -> None:
        self._vitals: Vitals | None = vitals

    def leave(self) -> None:
        """Again: nothing."""
        vitals, self._vitals = self._vitals, None
        if vitals is not None:
            vitals.in_flight -= 1


_vitals = PerLoop(Vitals)


def current() -> Vitals:
    """The vitals of the running event loop; its probe begins with the first call."""
    return _vitals.get()
