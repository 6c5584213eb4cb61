"""Sending again what nobody took: jobs that are due, and those whose worker is gone.

One sweeper at a time, by an advisory lock. A job whose message is believed to be with the broker is
left alone for CCAPI_JOB_REQUEUE_S, and then for as long as the broker has a message for each of
those that wait, so that a long queue does not grow by being swept. Places at providers that nobody
handed on are handed on here, too.
"""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from media_jobs import places, queue
from media_jobs.models import Job
from media_jobs.states import OPEN

log = structlog.get_logger(__name__)

SWEEP_MAX = 500  # jobs a sweep
LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('media_jobs.sweeper'))"


def sweep() -> int:
    """How many jobs were sent; those that were handed a place are."""
    handed = places.hand_on_all()
    lost = {task: _lost(task) for task in (queue.PERFORM, queue.ASK)}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
            (is_ours,) = cursor.fetchone()
        if not is_ours:
            return handed
        chosen = _first(due().filter(queued_until=None), SWEEP_MAX)
        for task, count in lost.items():
            expired = _of(task).filter(queued_until__lt=Now())
            chosen += _first(expired, min(count, SWEEP_MAX - len(chosen)))
        pks = [job.pk for job in chosen]
        Job.objects.filter(pk__in=pks).update(
            queued_until=Now() + timedelta(seconds=settings.CCAPI_JOB_REQUEUE_S)
        )
    sent = 0
    for job in chosen:
        if not queue.send(queue.task_for(job), job.public_id):
            Job.objects.filter(pk__in=pks[sent:], lease_until=None).update(queued_until=None)
            break
        sent += 1
    return handed + sent


def _lost(task: str) -> int:
    """How many of the messages for this task are not with the broker any more, though believed so.

    Not which: those of the jobs that were due first, most likely, and the others' turn comes.
    """
    queued = _of(task).exclude(queued_until=None)
    if not queued.filter(queued_until__lt=Now()).exists():
        return 0
    there = queue.length(task)
    return 0 if there is None else max(0, queued.count() - there)


def _first(jobs: QuerySet[Job], count: int) -> list[Job]:
    locked = jobs.select_for_update(skip_locked=True, of=("self",), no_key=True)
    return list(locked.order_by("due_at").only("pk", "started", "cancel_requested_at")[:count])


def _of(task: str) -> QuerySet[Job]:
    """Those that are due, and for whom this is what is to be done (`queue.task_for`)."""
    is_quick = Q(started__isnull=False) | Q(cancel_requested_at__isnull=False)
    return due().filter(is_quick if task == queue.ASK else ~is_quick)


def due() -> QuerySet[Job]:
    """Jobs that somebody should look at, and nobody does."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    return Job.objects.filter(free, state__in=sorted(OPEN), due_at__lte=Now())
