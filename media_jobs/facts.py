"""What a job's row says: who may still be asked, what was tried, at what price, how long yet."""

import msgspec

from billing.types import Attempt
from catalog.api import current_sync, price_version
from catalog.types import PriceVersion
from ccapi.core import clock
from ccapi.core.errors import UpstreamTimeout
from media_jobs import plan
from media_jobs.models import Job
from media_jobs.plan import Offered


def offers(job: Job) -> tuple[Offered, ...]:
    """Those that have not failed already with the work in their hands."""
    found = plan.read(current_sync(), job.plan)
    return tuple(offered for entry, offered in found if not entry.is_spent)


def all_offers(job: Job) -> tuple[Offered, ...]:
    return tuple(offered for _, offered in plan.read(current_sync(), job.plan))


def attempts_of(job: Job) -> list[Attempt]:
    return msgspec.convert(job.attempts, list[Attempt])


def with_last(job: Job, status: int, error: str) -> list[Attempt]:
    """The attempts, the one that has the work having ended so."""
    attempts = attempts_of(job)
    attempts[-1] = msgspec.structs.replace(attempts[-1], status=status, error=error)
    return attempts


def price(job: Job) -> PriceVersion:
    """Of the hold: what a receipt of nothing names."""
    found = price_version(job.hold_price_version)
    assert found is not None  # noqa: S101 — approved versions are never deleted
    return found


def left_s(job: Job) -> float:
    """Until its time is over."""
    return max(0.0, (job.deadline_at - clock.now()).total_seconds())


def is_late(job: Job) -> bool:
    return clock.now() >= job.deadline_at


def too_late(job: Job) -> UpstreamTimeout:
    had_s = (job.deadline_at - job.created_at).total_seconds()
    return UpstreamTimeout(f"The pictures were not there within {had_s:.0f} seconds.")
