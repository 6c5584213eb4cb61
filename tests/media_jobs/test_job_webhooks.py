"""What a customer is told of its jobs when they end, by the worker that ends them."""

import time

import pytest

from tests.e2e.stack import Account
from tests.fakes.receiver import Received
from tests.media_jobs.studio import Studio


@pytest.fixture
def secret(studio: Studio, account: Account) -> str:
    with studio.stack.http(account) as client:
        answer = client.get("/webhooks/secret")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["secret"])


def told(studio: Studio, job: str, times: int = 1, timeout_s: float = 15.0) -> list[Received]:
    """The POSTs about a job, once there are so many."""
    until = time.monotonic() + timeout_s
    while True:
        found = [each for each in studio.receiver.seen if each.event == job]
        if len(found) >= times:
            return found
        assert time.monotonic() < until, f"{len(found)} POSTs of {times}"
        time.sleep(0.05)


def test_an_end_is_told_as_the_job_itself_is_signed_and_once(
    studio: Studio, account: Account, secret: str
) -> None:
    order = studio.order(account, "told by webhook", webhook_url=studio.receiver.url)
    job = order.json()["id"]
    ended = studio.end_of(account, job)

    (post,) = told(studio, job)

    body = post.verified(secret)
    assert (body["id"], body["status"]) == (job, "completed")
    assert [each["url"] != "" for each in body["data"]] == [True] == [bool(ended["data"])]
    assert studio.charged(account) == 1


def test_a_failure_is_told_too_and_again_until_somebody_takes_it(
    studio: Studio, account: Account, secret: str
) -> None:
    studio.receiver.script[:] = [500]
    studio.die_at("in_the_call", times=3)
    order = studio.order(account, "poisoned webhook", webhook_url=studio.receiver.url)
    job = order.json()["id"]
    studio.end_of(account, job, timeout_s=30)

    posts = told(studio, job, times=2)

    bodies = [post.verified(secret) for post in posts]
    assert [body["status"] for body in bodies] == ["failed", "failed"]
    assert studio.charged(account) == 0
    with studio.stack.http(account) as client:
        deliveries = client.get("/webhooks/deliveries", params={"event": job}).json()["data"]
    assert [(each["state"], each["event"]) for each in deliveries] == [("delivered", job)]


def test_a_webhook_to_a_private_address_is_refused_before_anything_is_held(
    studio: Studio, account: Account
) -> None:
    order = studio.order(account, "nowhere", webhook_url="https://127.0.0.1/hook")

    assert order.status_code == 400
    assert order.json()["error"]["param"] == "webhook_url"
    assert studio.charged(account) == 0


@pytest.mark.parametrize("moment", ["in the post", "after the post"])
def test_a_worker_killed_while_it_delivers_tells_again_by_the_same_id_and_charges_nothing_twice(
    studio: Studio, account: Account, secret: str, moment: str
) -> None:
    if moment == "in the post":
        studio.receiver.held.clear()
    else:
        studio.die_at("after_the_post")

    order = studio.order(account, f"killed {moment}", webhook_url=studio.receiver.url)
    job = order.json()["id"]
    told(studio, job)
    if moment == "in the post":
        studio.replace_worker()
        studio.receiver.held.set()
    _end_lease(studio, job)
    first, second = told(studio, job, times=2, timeout_s=30)

    assert first.verified(secret) == second.verified(secret)
    assert first.event == second.event == job
    assert studio.charged(account) == 1
    assert not list(studio.folder.iterdir())
    with studio.stack.http(account) as client:
        deliveries = client.get("/webhooks/deliveries", params={"event": job}).json()["data"]
    assert [each["event"] for each in deliveries] == [job]


def _end_lease(studio: Studio, job: str) -> None:
    """As if a minute had passed; once whoever delivered is gone, and its lock with it."""
    until = time.monotonic() + 10
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = "
    held += "(hashtext('webhooks.deliver')::bigint & 4294967295)::oid AND database ="
    held += " (SELECT oid FROM pg_database WHERE datname = current_database())"
    while studio.stack.rows(held):
        assert time.monotonic() < until
        time.sleep(0.02)
    query = "UPDATE webhook_delivery SET due_at = now(), leased_until = now()"
    assert studio.stack.rows(query + " WHERE event_id = %s RETURNING 1", job)
