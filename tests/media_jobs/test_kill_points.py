"""A worker that is killed anywhere: each job reaches one end, and is charged once for it."""

import contextlib
import os
import signal
import time

import pytest

from tests.e2e.stack import Account
from tests.media_jobs.mortal import POINTS
from tests.media_jobs.studio import Studio


@pytest.mark.parametrize("model", ["atelier/one", "slow/one"])
def test_workers_killed_at_every_point_leave_each_job_one_end_and_one_charge(
    studio: Studio, account: Account, model: str
) -> None:
    for point in POINTS:
        studio.die_at(point)
    orders = [studio.order(account, f"{number} of {model}", model=model) for number in POINTS]

    ends = [studio.end_of(account, order.json()["id"]) for order in orders]

    assert [order.status_code for order in orders] == [202] * len(POINTS)
    assert [(end["status"], len(end["data"])) for end in ends] == [("completed", 1)] * len(POINTS)
    assert studio.charged(account) == len(POINTS)
    assert not list(studio.folder.iterdir())  # every one of them was died at


def test_a_process_killed_while_the_provider_works_is_replaced(
    studio: Studio, account: Account
) -> None:
    order = studio.order(account, "delay=1.0 times=1 killed in the call")
    job = order.json()["id"]
    owner = _owner(studio, job)

    os.kill(owner, signal.SIGKILL)
    ended = studio.end_of(account, job)

    assert ended["status"] == "completed"
    assert studio.charged(account) == 1


def test_a_job_that_kills_whoever_touches_it_ends_after_three_tries(
    studio: Studio, account: Account
) -> None:
    studio.die_at("in_the_call", times=3)
    order = studio.order(account, "poison")
    job = order.json()["id"]

    ended = studio.end_of(account, job, timeout_s=30)

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "internal_error"
    assert studio.atelier.orders["poison"] == 0
    assert studio.charged(account) == 0
    receipt = studio.stack.generation(account, order.headers["x-ccapi-generation-id"])
    assert receipt["status"] == "internal_error"


def test_a_message_delivered_twice_makes_nothing_twice(studio: Studio, account: Account) -> None:
    order = studio.order(account, "delay=0.3 told twice")
    job = order.json()["id"]
    for _ in range(5):
        studio.send(job)

    ended = studio.end_of(account, job)
    studio.send(job)
    time.sleep(0.3)

    assert ended["status"] == "completed"
    assert studio.atelier.orders["delay=0.3 told twice"] == 1
    assert studio.charged(account) == 1


def test_a_broker_that_lost_everything_loses_no_job(studio: Studio, account: Account) -> None:
    jobs = []
    for number in range(4):
        jobs.append(studio.order(account, f"delay=0.2 flushed {number}").json()["id"])
        studio.flush()

    ends = [studio.end_of(account, job)["status"] for job in jobs]

    assert ends == ["completed"] * 4
    assert studio.charged(account) == 4


def test_two_workers_that_race_for_jobs_make_each_once(studio: Studio, account: Account) -> None:
    second = studio.worker()
    prompts = [f"delay=0.05 raced for {number}" for number in range(12)]
    try:
        jobs = [studio.order(account, prompt).json()["id"] for prompt in prompts]
        for job in jobs:
            studio.send(job)
            studio.send(job)

        ends = [studio.end_of(account, job)["status"] for job in jobs]
    finally:
        second.kill()

    assert ends == ["completed"] * 12
    assert [studio.atelier.orders[prompt] for prompt in prompts] == [1] * 12
    assert studio.charged(account) == 12


def test_a_killed_main_process_takes_its_pool_along_and_the_next_one_goes_on(
    studio: Studio, account: Account
) -> None:
    order = studio.order(account, "delay=0.5 times=1 its worker's main process is killed")
    _owner(studio, order.json()["id"])

    killed = studio.replace_worker()
    until = time.monotonic() + 2
    while not killed.has_left_nothing() and time.monotonic() < until:
        time.sleep(0.05)

    assert killed.has_left_nothing()
    assert studio.end_of(account, order.json()["id"])["status"] == "completed"
    assert studio.charged(account) == 1


def test_a_lost_fence_has_no_effect(studio: Studio, account: Account) -> None:
    """A worker that was cut off and comes back after another one has taken the job."""
    order = studio.order(account, "delay=0.6 times=1 fenced off")
    job = order.json()["id"]
    _owner(studio, job)
    studio.stack.rows("UPDATE media_job SET fence = fence + 1 WHERE id = %s RETURNING 1", job[4:])

    ended = studio.end_of(account, job)

    assert ended["status"] == "completed"
    assert studio.charged(account) == 1
    assert len(studio.stack.rows("SELECT 1 FROM artefact WHERE request_id = %s", job[4:])) == 1


def _owner(studio: Studio, job: str) -> int:
    """The process that works on a job."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        (found,) = studio.stack.rows(
            "SELECT owner FROM media_job WHERE id = %s AND lease_until IS NOT NULL"
            " UNION ALL SELECT '' LIMIT 1",
            job[4:],
        )
        with contextlib.suppress(ValueError):
            return int(found[0].rpartition(":")[2])
        time.sleep(0.02)
    raise TimeoutError("nobody took it")
