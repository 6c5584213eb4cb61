"""Orders at a provider that grants so many at once: never more, over all workers, and in turn."""

from tests.e2e.stack import Account
from tests.media_jobs.studio import Studio, wait_for_job

NARROW, SINGLE = "Bearer upstream-secret-of-narrow", "Bearer upstream-secret-of-single"


def test_ten_orders_over_two_workers_are_never_more_at_once_than_the_provider_grants(
    studio: Studio, account: Account
) -> None:
    second = studio.worker()
    try:
        orders = [
            studio.order(account, f"works=0.5 narrow {number}", model="narrow/one")
            for number in range(10)
        ]
        ends = [studio.end_of(account, each.json()["id"], timeout_s=40) for each in orders]
    finally:
        second.kill()

    assert [end["status"] for end in ends] == ["completed"] * 10
    assert studio.atelier.most[NARROW] == 2
    assert sum(studio.atelier.orders[f"works=0.5 narrow {each}"] for each in range(10)) == 10
    assert studio.charged(account) == 10
    receipt = studio.stack.generation(account, orders[9].headers["x-ccapi-generation-id"])
    assert [each["status"] for each in receipt["attempts"]] == [200]  # waiting is no attempt


def test_a_worker_killed_with_a_place_neither_loses_it_nor_keeps_it(
    studio: Studio, account: Account
) -> None:
    studio.die_at("in_its_place", times=2)
    jobs = [
        studio.order(account, f"works=0.3 killed {each}", model="single/one").json()["id"]
        for each in range(3)
    ]

    ends = [studio.end_of(account, job, timeout_s=40)["status"] for job in jobs]

    assert ends == ["completed"] * 3
    assert studio.atelier.most[SINGLE] == 1
    assert studio.charged(account) == 3
    assert not list(studio.folder.iterdir())


def test_what_waits_for_its_turn_is_cancelled_at_once_or_late_and_costs_nothing(
    studio: Studio, account: Account
) -> None:
    first = studio.order(account, "never ends", model="single/one").json()["id"]
    _started(studio, first)
    given_up, late, last = (
        studio.order(account, f"{word} in line", model="single/one").json()["id"]
        for word in ("given up", "late", "last")
    )
    for job in (given_up, late, last):
        _in_line(studio, job)

    with studio.stack.http(account) as client:
        client.delete(f"/v1/images/jobs/{given_up}")
        assert studio.end_of(account, given_up, timeout_s=3)["status"] == "cancelled"
        _end_time_of(studio, late)
        assert studio.end_of(account, late)["error"]["code"] == "upstream_timeout"
        client.delete(f"/v1/images/jobs/{first}")

    assert studio.end_of(account, last)["status"] == "completed"
    assert studio.end_of(account, first)["status"] == "cancelled"
    assert studio.atelier.orders["given up in line"] == studio.atelier.orders["late in line"] == 0
    assert studio.atelier.most[SINGLE] == 1
    assert studio.charged(account) == 1


def test_a_full_provider_gives_way_to_another_and_a_failed_order_to_the_next_in_line(
    studio: Studio, account: Account
) -> None:
    first = studio.order(account, "works=1.5 fails first", model="single/one").json()["id"]
    _started(studio, first)

    elsewhere = studio.order(account, "elsewhere", model="", models=["single/one", "spare/one"])
    behind = studio.order(account, "behind", model="single/one").json()["id"]

    assert studio.end_of(account, elsewhere.json()["id"])["model"] == "spare/one"
    assert studio.end_of(account, first)["status"] == "failed"
    assert studio.end_of(account, behind)["status"] == "completed"
    assert studio.atelier.most[SINGLE] == 1
    assert studio.charged(account) == 2


def test_one_that_another_provider_failed_waits_for_the_full_one_and_is_not_asked_there_again(
    studio: Studio, account: Account
) -> None:
    first = studio.order(account, "works=1.5 first", model="single/one").json()["id"]
    _started(studio, first)
    models = ["single/one", "spare/one"]

    order = studio.order(account, "status=503 times=1 in line", model="", models=models)
    wrong = studio.order(account, "status=400 wrong", model="", models=models)

    assert studio.end_of(account, wrong.json()["id"], timeout_s=1)["status"] == "failed"
    assert studio.end_of(account, first)["status"] == "completed"
    assert studio.end_of(account, order.json()["id"])["model"] == "single/one"
    receipt = studio.stack.generation(account, order.headers["x-ccapi-generation-id"])
    assert [each["status"] for each in receipt["attempts"]] == [503, 200]
    assert studio.charged(account) == 2


def _started(studio: Studio, job: str) -> None:
    wait_for_job(studio.stack, job, "started IS NOT NULL")


def _in_line(studio: Studio, job: str) -> None:
    wait_for_job(studio.stack, job, "waits_for IS NOT NULL AND lease_until IS NULL")


def _end_time_of(studio: Studio, job: str) -> None:
    """As if CCAPI_JOB_TOTAL_S had passed."""
    query = "UPDATE media_job SET deadline_at = now(), due_at = now() WHERE id = %s RETURNING 1"
    assert studio.stack.rows(query, job[4:])
