"""Providers' calls to us, signed as Replicate signs: which are believed, and what they do."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
import redis
from django.conf import settings
from django.db.models.functions import Now
from django.test import Client, override_settings

from catalog import api as catalog
from media_jobs import leases, notify, queue
from media_jobs.models import Job
from media_jobs.polling import Work
from media_jobs.types import Started
from tests.fakes.replicate import SECRET, signed
from tests.media_jobs import rows, studio

pytestmark = pytest.mark.django_db

BODY = json.dumps({"id": "p1", "status": "succeeded"}).encode()
LATER_S = 3600.0


@pytest.fixture(autouse=True)
def signed_calls() -> Iterator[None]:
    catalog.import_document(studio.catalog("http://127.0.0.1:1"))
    with override_settings(CCAPI_NOTIFY_SECRETS={"replicate": SECRET}):
        yield
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete(f"ccapi:celery:{queue.QUICK_QUEUE}")


class Told(NamedTuple):
    status: int
    is_due: bool
    known_as: str


def working(upstream_id: str = "p1") -> Job:
    """A job at Replicate, to be asked after in an hour."""
    model = catalog.current_sync().models["slow/one"]
    (offer,) = model.offers
    assert model.price is not None
    entry = {"model": model.id, "offer": offer.id, "price": model.price.id}
    job = leases.claim(rows.job(plan=[entry]).pk)
    assert job is not None
    work = Work(offer=offer.id, key_id="", upstream=Started(upstream_id=upstream_id))
    leases.put_back(job, after_s=LATER_S, tries=0, started=msgspec.to_builtins(work))
    return job


def tell(client: Client, job: Job, headers: dict[str, str], *, token: str = "") -> Told:
    path = f"/media/notify/{job.public_id}/{token or notify.token(job)}"
    told: dict[str, Any] = {key: value for key, value in headers.items() if key != "content-type"}
    answer = client.post(path, data=BODY, content_type="application/json", headers=told)
    row = Job.objects.get(pk=job.pk)
    assert row.started is not None
    is_due = Job.objects.filter(pk=job.pk, due_at__lte=Now()).exists()
    return Told(answer.status_code, is_due, row.started["upstream"]["upstream_id"])


def test_what_is_signed_and_for_this_job_makes_it_due(client: Client) -> None:
    assert tell(client, working(), signed("p1", BODY)) == Told(204, True, "p1")


def test_a_signed_call_tells_the_name_of_the_work_that_nobody_has_heard_of(client: Client) -> None:
    assert tell(client, working(""), signed("p1", BODY)) == Told(204, True, "p1")


@pytest.mark.parametrize("wrong", ["forged", "of other words", "old", "early", "unsigned"])
def test_what_is_not_signed_for_now_by_the_provider_changes_nothing(
    client: Client, wrong: str
) -> None:
    headers = {
        "forged": signed("p1", BODY, secret="whsec_" + "A" * 32),
        "of other words": signed("p1", BODY.replace(b"p1", b"p2")),
        "old": signed("p1", BODY, age_s=3600.0),
        "early": signed("p1", BODY, age_s=-3600.0),
        "unsigned": {},
    }[wrong]

    assert tell(client, working(), headers) == Told(404, False, "p1")
    assert tell(client, working(""), headers) == Told(404, False, "")


def test_a_signed_call_for_another_job_changes_nothing(client: Client) -> None:
    mine, others = working(), working()

    told = tell(client, mine, signed("p1", BODY), token=notify.token(others))

    assert told == Told(404, False, "p1")


def test_a_call_that_comes_while_somebody_asks_leaves_the_job_to_them(client: Client) -> None:
    asked = working()
    Job.objects.filter(pk=asked.pk).update(lease_until=Now(), due_at=Now())
    taken = leases.claim(asked.pk)
    assert taken is not None

    told = tell(client, asked, signed("p1", BODY))

    assert (told.status, told.is_due) == (204, False)
    assert Job.objects.get(pk=asked.pk).fence == taken.fence
