"""One studio for the tests of this folder: a stack with a worker and a beat, started when asked."""

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Account
from tests.media_jobs.studio import Studio, running


@pytest.fixture(scope="session")
def shared_studio() -> Iterator[Studio]:
    with running(accounts={"1.00": 60, "0.001": 4}, name="studio") as studio:
        studio.stack.web()
        studio.beat()
        studio.worker()
        first = studio.stack.account()
        studio.end_of(first, studio.order(first, "warm up").json()["id"], timeout_s=60)
        yield studio
        studio.stack.wait_for_no_holds()
        studio.stack.audit()


@pytest.fixture
def studio(shared_studio: Studio) -> Iterator[Studio]:
    yield shared_studio
    for mark in shared_studio.folder.iterdir():
        mark.unlink()


@pytest.fixture
def account(shared_studio: Studio) -> Account:
    return shared_studio.stack.account()
