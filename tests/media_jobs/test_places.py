"""Places at a provider, by their rows: who has one, who is next, and who cannot take one."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from catalog import api as catalog
from catalog.types import Provider
from media_jobs import leases, places, sweeper
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.types import State
from tests.media_jobs import rows, studio

pytestmark = pytest.mark.django_db

LATER_S = 3600.0


@pytest.fixture(autouse=True)
def no_messages_left() -> Iterator[None]:
    yield
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete(f"ccapi:celery:{settings.CCAPI_QUEUE}")


def granting(concurrent: int) -> Provider:
    """The provider as the catalog has it, with so many places."""
    document: dict[str, Any] = studio.catalog("http://127.0.0.1:1")
    (provider,) = (each for each in document["providers"] if each["name"] == "single")
    provider["limits"] = {"concurrent": concurrent}
    catalog.import_document(document)
    return catalog.current_sync().providers["single"]


def claimed(row: Job) -> Job:
    found = leases.claim(row.pk)
    assert found is not None
    return found


def some(count: int) -> list[Job]:
    """Claimed jobs of one organization, the oldest first."""
    first = rows.job()
    of_it = {"organization_id": first.organization_id, "key_id": first.key_id}
    return [claimed(each) for each in (first, *(rows.job(**of_it) for _ in range(count - 1)))]


def wait(job: Job, provider: Provider) -> None:
    leases.put_back(job, after_s=LATER_S, tries=0, place=None, waits_for=provider.id)


def seen(jobs: list[Job]) -> list[str]:
    """Who has a place, who is in line."""
    for job in jobs:
        job.refresh_from_db()
    return [
        "has one" if job.place else "waits" if job.waits_for else "neither"
        for job in jobs
        if job.state == State.PROCESSING
    ]


def test_so_many_have_a_place_as_the_provider_grants_and_each_only_one() -> None:
    provider = granting(2)
    jobs = some(3)

    taken = [places.take(job, provider) for job in jobs]
    again = [places.take(job, provider) for job in jobs]

    assert taken == again == [True, True, False]


def test_a_place_outlives_the_worker_and_is_its_jobs_until_that_ends() -> None:
    provider = granting(1)
    first, second = some(2)
    assert places.take(first, provider)

    Job.objects.filter(pk=first.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    Job.objects.filter(pk=first.pk).update(due_at=timezone.now() - timedelta(seconds=1))

    assert not places.take(second, provider)
    assert places.take(claimed(first), provider)
    first.refresh_from_db()
    leases.change(first, State.CANCELLED, lease_until=None, finished_at=timezone.now())
    assert places.take(second, provider)


def test_those_in_line_are_handed_a_place_the_oldest_first_and_nobody_overtakes_them() -> None:
    provider = granting(1)
    first, second, third, newcomer = some(4)
    assert places.take(first, provider)
    wait(third, provider)
    wait(second, provider)

    Job.objects.filter(pk=first.pk).update(place=None)  # it has left, and was killed then

    assert not places.take(newcomer, provider)
    assert places.hand_on(provider.id) == 1
    assert seen([second, third]) == ["has one", "waits"]
    assert second.due_at <= timezone.now() < third.due_at
    assert places.take(claimed(second), provider)


def test_who_leaves_hands_on_and_who_is_claimed_is_in_line_no_more() -> None:
    provider = granting(1)
    first, second, third = some(3)
    assert places.take(first, provider)
    for job in (second, third):
        wait(job, provider)
    Job.objects.filter(pk=second.pk).update(due_at=timezone.now() - timedelta(seconds=1))

    claimed(second)
    places.leave(first)

    assert seen([first, second, third]) == ["neither", "neither", "has one"]


def test_the_sweeper_hands_on_what_a_raised_limit_grants() -> None:
    provider = granting(1)
    jobs = some(4)
    assert places.take(jobs[0], provider)
    for job in jobs[1:]:
        wait(job, provider)

    assert sweeper.sweep() == 0
    granting(3)

    assert sweeper.sweep() == 2
    assert seen(jobs) == ["has one", "has one", "has one", "waits"]


def test_nobody_waits_for_a_provider_that_is_gone() -> None:
    provider = granting(1)
    jobs = some(2)
    for job in jobs:
        wait(job, provider)

    handed = places.hand_on(-provider.id) + places.hand_on(provider.id)
    document: dict[str, Any] = studio.catalog("http://127.0.0.1:1")
    (single,) = (each for each in document["providers"] if each["name"] == "single")
    single["enabled"] = False
    catalog.import_document(document)

    assert handed == 1
    assert places.hand_on(provider.id) == 1
    assert seen(jobs) == ["has one", "has one"]


def test_an_older_claim_takes_no_place_and_leaves_none() -> None:
    provider = granting(1)
    (old,) = some(1)
    assert places.take(old, provider)
    Job.objects.filter(pk=old.pk).update(fence=2)

    with pytest.raises(Superseded):
        places.take(old, provider)
    with pytest.raises(Superseded):
        places.leave(old)

    assert seen([old]) == ["has one"]
