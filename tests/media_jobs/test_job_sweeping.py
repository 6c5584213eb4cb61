"""What the sweeper sends again: all that nobody has, and nothing that the broker has."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.db.models.functions import Now

from ccapi.core import clock
from media_jobs import queue, sweeper
from media_jobs.models import Job
from tests.media_jobs import rows

pytestmark = pytest.mark.django_db

CALLS = f"ccapi:celery:{settings.CCAPI_QUEUE}"
QUICK = f"ccapi:celery:{queue.QUICK_QUEUE}"


@pytest.fixture(autouse=True)
def broker() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete(CALLS, QUICK)
        yield broker
        broker.delete(CALLS, QUICK)


def queued(count: int) -> list[Job]:
    """Jobs whose messages were sent, the oldest first, and long ago."""
    first = rows.job()
    of_it = {"organization_id": first.organization_id, "key_id": first.key_id}
    jobs = [first, *(rows.job(**of_it) for _ in range(count - 1))]
    for number, job in enumerate(jobs):
        due_at = clock.now() - timedelta(seconds=100 - number)
        Job.objects.filter(pk=job.pk).update(due_at=due_at)
        queue.enqueue(job)
    _time_passes()
    return jobs


def _time_passes() -> None:
    Job.objects.update(queued_until=Now() - timedelta(seconds=1))


def test_a_long_queue_does_not_grow_by_being_swept(broker: "redis.Redis") -> None:
    queued(5)

    sent = [sweeper.sweep() for _ in range(3)]

    assert sent == [0, 0, 0]
    assert broker.llen(CALLS) == 5


def test_what_the_broker_has_lost_is_sent_again_the_oldest_first(broker: "redis.Redis") -> None:
    jobs = queued(5)
    broker.ltrim(CALLS, 0, 2)

    assert sweeper.sweep() == 2

    assert broker.llen(CALLS) == 5
    still = set(Job.objects.filter(queued_until__gt=Now()).values_list("pk", flat=True))
    assert still == {jobs[0].pk, jobs[1].pk}


def test_a_flushed_broker_is_told_everything_once_more_each_by_its_own_queue(
    broker: "redis.Redis",
) -> None:
    jobs = queued(4)
    Job.objects.filter(pk=jobs[0].pk).update(cancel_requested_at=Now())
    broker.delete(CALLS, QUICK)

    assert sweeper.sweep() == 4

    assert (broker.llen(CALLS), broker.llen(QUICK)) == (3, 1)
    assert sweeper.sweep() == 0


def test_what_nobody_has_sent_is_sent_however_long_the_queue_is(broker: "redis.Redis") -> None:
    jobs = queued(3)
    Job.objects.filter(pk=jobs[1].pk).update(queued_until=None)

    assert sweeper.sweep() == 1
    assert broker.llen(CALLS) == 4
