"""How many jobs an organization may have open, and how long one may take; told by a web process."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.e2e.stack import Account, Web
from tests.media_jobs.studio import Studio

OPEN_MAX, TOTAL_S = 2, 2.0


@pytest.fixture(scope="module")
def strict(shared_studio: Studio) -> Iterator[Web]:
    """A web process that takes on little."""
    web = shared_studio.stack.web(CCAPI_JOBS_OPEN_MAX=str(OPEN_MAX), CCAPI_JOB_TOTAL_S=str(TOTAL_S))
    yield web
    web.stop()


def order(studio: Studio, account: Account, web: Web, prompt: str, model: str) -> httpx2.Response:
    body = {"model": model, "contents": [{"text": prompt}]}
    with studio.stack.http(account, web) as client:
        return client.post("/v1/images/generate", json=body, headers={"prefer": "respond-async"})


def test_one_more_open_job_than_allowed_is_refused_and_taken_when_one_has_ended(
    studio: Studio, account: Account, strict: Web
) -> None:
    first, second, refused = (
        order(studio, account, strict, f"never {number}", "slow/one") for number in range(3)
    )
    held = studio.stack.balance(account)[1]
    with studio.stack.http(account) as client:
        client.delete(f"/v1/images/jobs/{first.json()['id']}")
    studio.end_of(account, first.json()["id"])
    afterwards = order(studio, account, strict, "afterwards", "atelier/one")

    assert (first.status_code, second.status_code) == (202, 202)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "concurrent_requests")
    assert error["details"]["limit"] == OPEN_MAX
    assert error["details"]["scope"] == "organization"
    assert "2 unfinished image jobs" in error["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 10
    assert held == 2 * 10_000_000  # nothing of the refused one
    assert afterwards.status_code == 202, afterwards.text
    assert studio.end_of(account, afterwards.json()["id"])["status"] == "completed"
    assert studio.end_of(account, second.json()["id"])["status"] == "failed"
    assert studio.charged(account) == 1


def test_orders_at_the_same_moment_do_not_pass_the_limit_together(
    studio: Studio, account: Account, strict: Web
) -> None:
    with ThreadPoolExecutor(8) as pool:
        orders = list(
            pool.map(
                lambda number: order(studio, account, strict, f"delay=1 {number}", "atelier/one"),
                range(8),
            )
        )

    taken = [each.json()["id"] for each in orders if each.status_code == 202]
    assert len(taken) == OPEN_MAX
    assert {each.status_code for each in orders} == {202, 429}
    assert [studio.end_of(account, job)["status"] for job in taken] == ["completed"] * OPEN_MAX
    assert studio.charged(account) == OPEN_MAX


def test_a_job_whose_time_is_over_is_given_up_at_its_provider_and_costs_nothing(
    studio: Studio, account: Account, strict: Web
) -> None:
    began = time.monotonic()

    taken = order(studio, account, strict, "never in time", "slow/one")
    ended = studio.end_of(account, taken.json()["id"])
    took_s = time.monotonic() - began

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "upstream_timeout"
    assert "within 2 seconds" in ended["error"]["message"]
    assert TOTAL_S <= took_s < TOTAL_S + 3
    assert "never in time" in studio.atelier.cancelled
    assert studio.charged(account) == 0
    receipt = studio.stack.generation(account, taken.headers["x-ccapi-generation-id"])
    assert receipt["status"] == "timeout"
