"""Leases: whose a job is just now, by the database's clock, and how an older owner is refused.

Claiming a job raises its fence; every effect names the fence that it was claimed with. A worker
that was slow, killed or cut off may come back at any time: its fence is stale, and its effects do
not happen. A lease that is not kept ends, and the sweeper hands the job to another worker.
"""

import asyncio
import os
import socket
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now

from ccapi.core import postgres
from ccapi.core.errors import BillingUnavailable
from media_jobs.models import Job
from media_jobs.states import sources
from media_jobs.types import State

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

BEATS_PER_LEASE = 3
KEEP = """
UPDATE media_job SET lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE id = %s AND fence = %s AND state = 'processing' RETURNING 1
"""


class Superseded(Exception):
    """The job is somebody else's, or over: what was done for it has no effect."""


def claim(pk: UUID) -> Job | None:
    """Take a job that is due and nobody's, for one performance; None where there is none.

    If nothing more is heard of this performance, the next one comes when the lease has ended, and
    after twice as long each time.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    due = Job.objects.filter(free, pk=pk, due_at__lte=Now(), state__in=sources(State.PROCESSING))
    with transaction.atomic():
        job = due.select_for_update(of=("self",), no_key=True).first()
        if job is None:
            return None
        tries = job.tries + 1
        due.update(
            state=State.PROCESSING,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            lease_until=Now() + timedelta(seconds=settings.CCAPI_JOB_LEASE_S),
            fence=F("fence") + 1,
            tries=tries,
            due_at=Now() + timedelta(seconds=settings.CCAPI_JOB_RETRY_S * 2 ** (tries - 1)),
            queued_until=None,
            waits_for=None,
            changed_at=Now(),
        )
        job.refresh_from_db()
        return job


def mine(job: Job, target: State) -> QuerySet[Job]:
    """The row, if it still may become `target` by the hand of this claim."""
    return Job.objects.filter(pk=job.pk, fence=job.fence, state__in=sources(target))


def change(job: Job, target: State, **columns: Any) -> None:  # noqa: ANN401 — columns of the row
    """The one way from state to state. Raises: Superseded."""
    if not mine(job, target).update(state=target, changed_at=Now(), **columns):
        raise Superseded(f"{job.public_id} is no longer held by fence {job.fence}.")


def put_back(job: Job, *, after_s: float, **columns: Any) -> None:  # noqa: ANN401 — as above
    """Let go of a job that is to be looked at again later. Raises: Superseded.

    One that was given up meanwhile is looked at at once.
    """
    change(
        job,
        State.PROCESSING,
        owner="",
        lease_until=None,
        queued_until=None,
        due_at=Case(
            When(cancel_requested_at__isnull=False, then=Now()),
            default=Now() + timedelta(seconds=after_s),
        ),
        **columns,
    )


async def kept(job: Job, work: Coroutine[Any, Any, Value]) -> Value:
    """Do the work while the lease is renewed beside it. Raises: Superseded as soon as it is lost.

    While PostgreSQL is away nobody can take the job, so the work goes on; if the lease has ended
    when it is back, the fence decides.
    """
    task = asyncio.ensure_future(work)
    beat = asyncio.create_task(_keep(job), name="media_jobs.lease")
    try:
        await asyncio.wait({task, beat}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Superseded(f"{job.public_id} is no longer held by fence {job.fence}.")
    finally:
        for each in (task, beat):
            each.cancel()
        await asyncio.gather(task, beat, return_exceptions=True)


async def _keep(job: Job) -> None:
    """Returns when the lease is lost."""
    lease_s = settings.CCAPI_JOB_LEASE_S
    while True:
        await asyncio.sleep(lease_s / BEATS_PER_LEASE)
        try:
            row = await postgres.fetch_one(KEEP, (lease_s, job.pk, job.fence), timeout_s=5.0)
        except BillingUnavailable:
            log.warning("lease.not_kept", job=job.public_id)
            continue
        if row is None:
            return
