"""For the metrics: how many jobs are open, and how long the first that is due has been waiting."""

import asyncio

from ccapi.core import clock, metrics, postgres
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop

EVERY_S = 10.0
LOOK = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)
  FILTER (WHERE due_at <= clock_timestamp()
    AND (lease_until IS NULL OR lease_until < clock_timestamp()))), 0)::float8
FROM media_job WHERE state IN ('pending', 'processing')
"""


class Gauges:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._due = 0.0
        self._look: asyncio.Task[None] | None = None

    def sample(self) -> None:
        now = clock.monotonic()
        if now >= self._due:
            self._due = now + EVERY_S
            self._look = asyncio.get_running_loop().create_task(self._ask(), name="jobs.gauges")

    async def _ask(self) -> None:
        try:
            row = await postgres.fetch_one(LOOK)
        except BillingUnavailable:
            return  # what was seen last stands
        if row is not None:
            metrics.JOBS_OPEN.set(row[0])
            metrics.JOBS_WAIT.set(row[1])


_gauges = PerLoop(Gauges)


def sample() -> None:
    """Called once a second by the sampler; asks PostgreSQL every ten."""
    _gauges.get().sample()
