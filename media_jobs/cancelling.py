"""Giving a job up. What nobody has begun with ends at once, and its hold goes back.

What an asynchronous provider has is cancelled there by a worker; what it delivered before it heard
of that is charged, as is what a synchronous call is about to deliver: that cannot be taken back.
"""

from django.db import transaction
from django.db.models.functions import Now

from catalog.api import price_version
from media_jobs import endings, queue
from media_jobs.models import Job
from media_jobs.types import State


def cancel(job: Job) -> None:
    """Ask for it; the row tells what came of it, at once or soon."""
    if give_up(job):
        return
    underway = Job.objects.filter(pk=job.pk, state=State.PROCESSING, cancel_requested_at=None)
    if not underway.update(cancel_requested_at=Now(), changed_at=Now()):
        return
    waiting = Job.objects.filter(pk=job.pk, state=State.PROCESSING, lease_until=None)
    if waiting.update(due_at=Now(), queued_until=None):
        job.refresh_from_db()
        queue.enqueue(job)


def give_up(job: Job) -> bool:
    """End a job that nobody has begun with; whether it was one."""
    with transaction.atomic():
        found = (
            Job.objects.select_for_update(no_key=True)
            .filter(pk=job.pk, state=State.PENDING)
            .first()
        )
        if found is None:
            return False
        price = price_version(found.hold_price_version)
        assert price is not None  # noqa: S101 — approved versions are never deleted
        endings.cancel(found, price)
    return True
