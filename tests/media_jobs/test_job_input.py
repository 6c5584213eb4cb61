"""A job's input at rest, the broker's address, and a provider's calls about a job."""

import msgspec
import pytest
from django.test import Client

from ccapi.core.sealing import SealError
from media_jobs import notify, sealed
from media_jobs.models import Job, SealedInput
from media_jobs.queue import broker_url
from media_jobs.types import ImageRequest, Picture
from tests.media_jobs.rows import job

REQUEST = ImageRequest(
    models=("acme/one",),
    prompt="a secret prompt",
    images=(Picture(data=b"\x89PNG secret", media_type="image/png", width=1, height=1),),
    extras={"style": msgspec.Raw(b'"vivid"')},
)


@pytest.mark.django_db
def test_an_input_is_encrypted_and_opens_for_its_own_job_alone() -> None:
    mine = job()
    sealed.store(mine, REQUEST)
    stored = bytes(SealedInput.objects.get().ciphertext)

    assert b"secret" not in stored
    assert sealed.read(mine) == REQUEST
    mine.organization_id += 1
    with pytest.raises(SealError):
        sealed.read(mine)


@pytest.mark.django_db
def test_what_an_ended_job_has_left_is_deleted() -> None:
    mine = job()
    sealed.store(mine, REQUEST)

    assert sealed.delete_left() == 0
    Job.objects.update(state="cancelled", finished_at="2026-01-01T00:00:00Z")
    assert sealed.delete_left() == 1


@pytest.mark.parametrize(
    ("ours", "kombus"),
    [
        ("redis://:pw@host:6379/3", "redis://:pw@host:6379/3"),
        ("unix://:pw@/run/x.sock?db=2", "redis+socket://:pw@/run/x.sock?virtual_host=2"),
        ("unix:///run/x.sock", "redis+socket:///run/x.sock?virtual_host=0"),
    ],
)
def test_the_broker_is_found_where_valkey_is(ours: str, kombus: str) -> None:
    assert broker_url(ours) == kombus


@pytest.mark.django_db
def test_a_providers_call_is_believed_by_its_jobs_own_token_alone(client: Client) -> None:
    mine = job()
    path = f"/media/notify/{mine.public_id}"

    good = client.post(f"{path}/{notify.token(mine)}", data=b"{}", content_type="application/json")
    bad = client.post(f"{path}/{'0' * 40}", data=b"{}", content_type="application/json")
    nobodys = client.post(f"/media/notify/job_{'0' * 32}/{notify.token(mine)}")
    got = client.get(f"{path}/{notify.token(mine)}")

    assert good.status_code == 204
    assert (bad.status_code, nobodys.status_code) == (404, 404)
    assert bad.json()["error"]["code"] == "job_not_found"
    assert got.status_code == 405
