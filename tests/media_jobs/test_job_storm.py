"""A few hundred mixed jobs with faults, and killed workers: charges equal what was delivered."""

import random
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.stack import Account
from tests.media_jobs.studio import PRICE, Studio

JOBS = 200
KINDS = (
    *("", "", "", "made=1", "status=500 times=1", "status=429 times=1", "status=400"),
    *("lost times=1", "delay=0.2", "fails", "status=503"),
)


def test_charges_equal_what_was_delivered_over_hundreds_of_jobs_with_faults(studio: Studio) -> None:
    account = studio.stack.new_account("100")
    dice = random.Random(5)  # noqa: S311 — the same storm each time
    orders = [
        (
            f"{dice.choice(KINDS)} storm {number}",
            dice.choice((["atelier/one"], ["atelier/one", "spare/one"], ["slow/one"])),
            dice.choice((1, 1, 2)),
        )
        for number in range(JOBS)
    ]
    for point in ("after_claim", "after_the_call", "before_the_commit", "after_the_end"):
        studio.die_at(point, times=2)

    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda order: _ordered(studio, account, *order), orders))
    ends = [studio.end_of(account, job, timeout_s=60) for job in jobs]

    delivered = sum(len(end["data"]) for end in ends)
    charged = sum(end["usage"]["images"] for end in ends if "usage" in end)
    posted, held = studio.stack.balance(account)
    assert held == 0
    assert charged == delivered
    assert posted == 100_000_000_000 - delivered * PRICE
    assert {end["status"] for end in ends} == {"completed", "failed"}
    assert delivered > JOBS / 2
    (row,) = studio.stack.rows(
        "SELECT count(*), count(DISTINCT request_id), sum(images) FROM usage_event e"
        " JOIN organization o ON o.id = e.organization_id WHERE o.public_id = %s",
        account.organization,
    )
    assert row == (JOBS, JOBS, delivered)
    studio.stack.audit()


def _ordered(studio: Studio, account: Account, prompt: str, models: list[str], count: int) -> str:
    n = 1 if models == ["slow/one"] else count
    order = studio.order(account, prompt, model="", n=n, models=models)
    assert order.status_code == 202, order.text
    job: str = order.json()["id"]
    return job
