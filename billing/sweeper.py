"""What happens beside the requests: heartbeats, orphaned holds, spool files, partitions.

One task per event loop; it ends with the loop and leaves no thread. Heartbeats keep this
process's open holds alive by the database's clock. A hold that nobody keeps alive is voided
(`sweep_holds_v1`; an advisory lock lets one process sweep at a time). Spooled settlements are
replayed before that.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
import structlog
from django.conf import settings

from billing import gauges, ledger
from ccapi.core import metrics, postgres
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop
from ccapi.core.metrics import sampler

log = structlog.get_logger(__name__)

BEATS_PER_TTL = 6
SWEEP_MAX = 500  # holds a statement
HEARTBEAT_MAX = 5_000
MONTHS_AHEAD = 3
PARTITIONS_S = 6 * 3600.0
RETRY_S = 1.0  # after a failure, whatever the period

HEARTBEAT = "SELECT heartbeat_v1(%s, %s)"
SWEEP = "SELECT request_id, amount_nano FROM sweep_holds_v1(%s, %s, %s)"
PARTITIONS = "SELECT ensure_partitions_v1(%s)"


async def heartbeat() -> None:
    """Move the expiry of this process's open holds on. Raises: BillingUnavailable."""
    held: list[UUID] = list(ledger.current().open)
    for start in range(0, len(held), HEARTBEAT_MAX):
        part = held[start : start + HEARTBEAT_MAX]
        await postgres.fetch_one(HEARTBEAT, (part, settings.CCAPI_HOLD_TTL_S), timeout_s=5.0)


async def sweep() -> int:
    """Replay dead processes' spools, then void expired holds; how many were voided.

    Raises: BillingUnavailable.
    """
    book = ledger.current()
    await book.replay()
    grace_s = 2 * settings.CCAPI_HOLD_TTL_S / BEATS_PER_TTL
    total = 0
    while True:
        rows = await postgres.fetch_all(SWEEP, (SWEEP_MAX, grace_s, book.owner), timeout_s=5.0)
        total += len(rows)
        metrics.SWEPT.add((), len(rows))
        for request_id, amount in rows:
            log.warning("hold.expired", request_id=str(request_id), amount_nano=amount)
        if len(rows) < SWEEP_MAX:
            return total


async def ensure_partitions() -> None:
    """Make the coming months' partitions. Raises: BillingUnavailable."""
    row = await postgres.fetch_one(PARTITIONS, (MONTHS_AHEAD,), timeout_s=5.0)
    if row and row[0]:
        log.info("partitions.made", count=row[0])


class Chore:
    """Something that is done again and again, and again soon after it failed."""

    def __init__(
        self, work: Callable[[], Awaitable[object]], *, every_s: float, first_s: float
    ) -> None:
        self._work = work
        self._every_s = every_s
        self.due = time.monotonic() + first_s

    async def run(self) -> None:
        try:
            await self._work()
        except BillingUnavailable:
            self.due = time.monotonic() + RETRY_S
        except psycopg.Error:
            log.exception("chore.failed", chore=getattr(self._work, "__name__", "?"))
            self.due = time.monotonic() + self._every_s
        else:
            # A little jitter keeps many processes from asking at once.
            self.due = time.monotonic() + self._every_s * random.uniform(0.9, 1.0)  # noqa: S311


async def _run() -> None:
    beat_s, sweep_s = settings.CCAPI_HOLD_TTL_S / BEATS_PER_TTL, settings.CCAPI_SWEEP_S
    chores = (
        Chore(heartbeat, every_s=beat_s, first_s=beat_s),
        Chore(sweep, every_s=sweep_s, first_s=0.0),
        Chore(ensure_partitions, every_s=PARTITIONS_S, first_s=5.0),
    )
    while True:
        for chore in chores:
            if chore.due <= time.monotonic():
                await chore.run()
        await asyncio.sleep(max(0.0, min(chore.due for chore in chores) - time.monotonic()))


def _start() -> asyncio.Task[None]:
    sampler.register(gauges.sample)
    return asyncio.get_running_loop().create_task(_run(), name="billing.background")


_tasks = PerLoop(_start)


def start_background() -> None:
    """Begin the background work of this event loop, once. Admission does it by itself."""
    if _tasks.get().done():
        _tasks.pop()
        _tasks.get()
