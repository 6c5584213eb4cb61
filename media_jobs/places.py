"""Places: how many orders an asynchronous provider works on at once, and whose turn is next.

A provider's `concurrent` limit counts an order there from before it is sent until its job has
ended, or has left it: the provider is on the job's row (`place`). These rows, and no leases in
Valkey, as an order outlives workers and caches: a place cannot leak, since every job ends, and no
crash, flush or pause gives it away while the order may be at work. A job whose worker was killed
still has its place when the next one repeats the order.

A job that finds none free gets in line (`waits_for`), the oldest first, and nobody looks at it
until it is handed a place: by the one who leaves, else by the sweeper. Counting and handing on
happen under a lock a provider, which is taken before any row's; so call these outside of
transactions. What a provider grants by the minute is `billing.rate_limits`.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from catalog.api import current_sync
from catalog.types import Provider
from ccapi.core import ids
from media_jobs import leases, queue
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.types import State

HANDED_MAX = 500  # at a time
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('media_jobs.places', %s))"


def take(job: Job, provider: Provider) -> bool:
    """Whether the job has a place there now. Raises: Superseded."""
    limit = provider.limits.concurrent
    with transaction.atomic():
        if limit and job.place != provider.id:
            _lock(provider.id)
            # Free ones are those in line's first.
            if _taken(provider.id) + _line(provider.id).count() >= limit:
                return False
        if not leases.mine(job, State.PROCESSING).update(place=provider.id):
            raise Superseded(f"{job.public_id} is no longer held by fence {job.fence}.")
    job.place = provider.id
    return True


def leave(job: Job) -> None:
    """The order did not come to be: somebody else's turn. Raises: Superseded."""
    left, job.place = job.place, None
    if left is None:
        return
    if not leases.mine(job, State.PROCESSING).update(place=None):
        raise Superseded(f"{job.public_id} is no longer held by fence {job.fence}.")
    hand_on(left)


def hand_on(provider_id: int) -> int:
    """Give what is free there to those in line; to how many."""
    if not _line(provider_id).exists():
        return 0
    providers = current_sync().providers.values()
    # Gone from the catalog: those in line shall find that out.
    limit = next((each.limits.concurrent for each in providers if each.id == provider_id), 0)
    with transaction.atomic():
        _lock(provider_id)
        free = limit - _taken(provider_id) if limit else HANDED_MAX
        first = _line(provider_id).order_by("id").values_list("pk", flat=True)
        chosen: list[UUID] = list(first[: max(0, min(free, HANDED_MAX))])
        # One that is claimed meanwhile is in line no more.
        _line(provider_id).filter(pk__in=chosen).update(
            place=provider_id,
            waits_for=None,
            due_at=Now(),
            queued_until=Now() + timedelta(seconds=settings.CCAPI_JOB_REQUEUE_S),
        )
    for pk in chosen:
        if not queue.send(queue.PERFORM, ids.job_id(pk)):
            Job.objects.filter(pk__in=chosen, lease_until=None).update(queued_until=None)
            break
    return len(chosen)


def hand_on_all() -> int:
    """The same at every provider that somebody waits for; to how many."""
    waiting = Job.objects.filter(state=State.PROCESSING, waits_for__isnull=False)
    providers = set(waiting.values_list("waits_for", flat=True).distinct())
    return sum(hand_on(each) for each in providers if each is not None)


def _lock(provider_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [provider_id])


def _taken(provider_id: int) -> int:
    return Job.objects.filter(state=State.PROCESSING, place=provider_id).count()


def _line(provider_id: int) -> QuerySet[Job]:
    return Job.objects.filter(state=State.PROCESSING, waits_for=provider_id)
