"""The table of states: what may follow what, and that the row obeys."""

import pytest
from django.db import IntegrityError, transaction

from media_jobs import leases
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.states import ENDS, OPEN, TABLE, sources
from media_jobs.types import State
from tests.media_jobs.rows import job


def test_every_state_has_its_line_and_ends_have_no_way_out() -> None:
    assert set(TABLE) == set(State)
    assert {State.COMPLETED, State.FAILED, State.CANCELLED} == ENDS
    assert all(TABLE[end] == frozenset() for end in ENDS)
    assert all(sources(end) and set(sources(end)) <= OPEN for end in ENDS)


@pytest.mark.django_db
def test_only_one_of_two_claims_gets_the_job_and_the_fence_grows() -> None:
    made = job()

    first, second = leases.claim(made.pk), leases.claim(made.pk)

    assert first is not None
    assert second is None
    assert (first.state, first.fence, first.tries) == (State.PROCESSING, 1, 1)


@pytest.mark.django_db
def test_an_older_claim_changes_nothing() -> None:
    made = job()
    old = leases.claim(made.pk)
    assert old is not None
    Job.objects.filter(pk=made.pk).update(fence=2)

    with pytest.raises(Superseded):
        leases.put_back(old, after_s=0)

    made.refresh_from_db()
    assert (made.fence, made.lease_until is None) == (2, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "columns",
    [
        {"state": "lost"},
        {"state": "completed"},  # without its end, its cost and its pictures
        {"finished_at": "2026-01-01T00:00:00Z"},
        {"lease_until": "2026-01-01T00:00:00Z"},
        {"cost_nano": 2, "hold_nano": 1},
        {"count": 0},
    ],
)
def test_the_database_refuses_a_row_that_cannot_be(columns: dict[str, object]) -> None:
    made = job()

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=made.pk).update(**columns)
