"""Sending again what nobody took: jobs that are due, and those whose worker is gone.

One sweeper at a time, by an advisory lock. A job whose message is believed to be with the broker is
left alone for CCAPI_JOB_REQUEUE_S, so that a long queue does not grow by being swept.
"""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ccapi.core import ids
from media_jobs import queue
from media_jobs.models import Job
from media_jobs.states import OPEN

log = structlog.get_logger(__name__)

SWEEP_MAX = 500  # jobs a sweep
LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('media_jobs.sweeper'))"


def sweep() -> int:
    """How many jobs were sent."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
            (is_ours,) = cursor.fetchone()
        if not is_ours:
            return 0
        waiting = due()
        chosen = list(
            waiting.filter(Q(queued_until=None) | Q(queued_until__lt=Now()))
            .select_for_update(skip_locked=True, of=("self",), no_key=True)
            .order_by("due_at")
            .values_list("pk", flat=True)[:SWEEP_MAX]
        )
        Job.objects.filter(pk__in=chosen).update(
            queued_until=Now() + timedelta(seconds=settings.CCAPI_JOB_REQUEUE_S)
        )
    sent = 0
    for pk in chosen:
        if not queue.send(queue.PERFORM, ids.job_id(pk)):
            Job.objects.filter(pk__in=chosen[sent:], lease_until=None).update(queued_until=None)
            break
        sent += 1
    return sent


def due() -> QuerySet[Job]:
    """Jobs that somebody should look at, and nobody does."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    return Job.objects.filter(free, state__in=sorted(OPEN), due_at__lte=Now())
