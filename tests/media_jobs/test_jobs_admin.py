"""Jobs in the admin: shown, found by their id, and not to be changed."""

import pytest
from django.test import Client

from tests.media_jobs.rows import job


@pytest.mark.django_db
def test_an_operator_sees_a_job_and_can_change_nothing(admin_client: Client) -> None:
    made = job()
    page = f"/admin/media_jobs/job/{made.pk}/change/"

    listed = admin_client.get("/admin/media_jobs/job/", {"q": made.public_id})
    shown = admin_client.get(page)
    changed = admin_client.post(page, {"state": "completed"})
    added = admin_client.get("/admin/media_jobs/job/add/")

    assert made.public_id in listed.content.decode()
    assert "0 of 1" in shown.content.decode()
    assert (changed.status_code, added.status_code) == (403, 403)
