"""Two queues: what is quick goes on while every process for calls is busy."""

import time
from collections.abc import Iterator

import pytest

from tests.media_jobs.studio import Studio, running, wait_for_job

PROCESSES = 2
BUSY_S = 5.0
DUE = "UPDATE media_job SET due_at = now() WHERE id = %s AND finished_at IS NULL RETURNING 1"
QUICK_S = 2.0  # the clock's beat is a third of a second; the rest is for a busy test machine


@pytest.fixture(scope="module")
def house() -> Iterator[Studio]:
    """With both workers, as production runs them."""
    with running(accounts={"1.00": 10}, name="queues") as house:
        house.stack.web()
        house.beat()
        house.quick_worker()
        house.calling_worker(CCAPI_WORKER_PROCESSES=str(PROCESSES))
        first = house.stack.account()
        for model in ("atelier/one", "slow/one"):
            house.end_of(first, house.order(first, "warm", model=model).json()["id"], timeout_s=60)
        yield house
        house.stack.wait_for_no_holds()
        house.stack.audit()


def test_questions_cancellations_and_webhooks_do_not_wait_for_long_calls(house: Studio) -> None:
    account = house.stack.account()
    polled, given_up = (
        house.order(
            account, f"{words} slow", model="slow/one", webhook_url=house.receiver.url
        ).json()["id"]
        for words in ("polls=2", "never")
    )
    for job in (polled, given_up):
        wait_for_job(house.stack, job, "polls = 1")
    busy = [house.order(account, f"delay={BUSY_S} busy {each}") for each in range(PROCESSES)]
    until_all_are_busy(house)
    began = time.monotonic()

    assert house.stack.rows(DUE, polled[4:])
    ended = house.end_of(account, polled)
    ended_s = time.monotonic() - began
    with house.stack.http(account) as client:
        cancelled = client.delete(f"/v1/images/jobs/{given_up}").json()
    _wait_for_webhooks(house, {polled, given_up})
    told_s = time.monotonic() - began
    states = {house.job(account, each.json()["id"])["status"] for each in busy}

    assert (ended["status"], cancelled["status"]) == ("completed", "cancelled")
    assert ended_s < QUICK_S
    assert told_s < 2 * QUICK_S
    assert states == {"processing"}
    assert time.monotonic() - began < BUSY_S
    ends = [house.end_of(account, each.json()["id"])["status"] for each in busy]
    assert ends == ["completed"] * len(busy)
    assert house.charged(account) == 1 + len(busy)


def test_what_became_a_call_meanwhile_is_handed_to_those_who_make_calls(house: Studio) -> None:
    """A question finds that the work has failed; the next offer's call may take long."""
    account = house.stack.account()
    models = ["slow/one", "atelier/one"]

    order = house.order(account, "fails then", model="", models=models)
    ended = house.end_of(account, order.json()["id"])

    assert (ended["status"], ended["model"]) == ("completed", "atelier/one")


def until_all_are_busy(house: Studio) -> None:
    until = time.monotonic() + 10
    query = "SELECT count(*) FROM media_job WHERE lease_until IS NOT NULL AND started IS NULL"
    while house.stack.rows(query) != [(PROCESSES,)]:
        assert time.monotonic() < until
        time.sleep(0.02)


def _wait_for_webhooks(house: Studio, jobs: set[str]) -> None:
    until = time.monotonic() + 10
    while not jobs <= set(house.receiver.events):
        assert time.monotonic() < until
        time.sleep(0.02)
