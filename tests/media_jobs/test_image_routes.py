"""The image routes over HTTP: what is answered when, what is charged, what is refused."""

import base64
import json
import time
from typing import Any

import httpx2
import pytest

from media_jobs.routes import ROUTES
from tests.e2e.stack import Account
from tests.media_jobs.studio import Studio

PNG = b"\x89PNG\r\n\x1a\n"


def generate(model: str, text: str, **fields: object) -> dict[str, Any]:
    return {"model": model, "contents": [{"text": text}], **fields}


def test_openais_sdk_gets_its_pictures(studio: Studio, account: Account) -> None:
    client = studio.stack.openai(account)

    answer = client.images.generate(
        model="atelier/one", prompt="an sdk's", n=2, response_format="b64_json"
    )

    assert answer.data is not None
    assert [base64.b64decode(each.b64_json or "")[:8] for each in answer.data] == [PNG] * 2
    assert studio.charged(account) == 2


def test_an_answer_tells_who_made_it_and_what_it_cost(studio: Studio, account: Account) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/images/generations",
            json={"models": ["atelier/one", "spare/one"], "prompt": "told"},
        )
        picture = client.get(answer.json()["data"][0]["url"])

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["model"], told["provider"]) == ("atelier/one", "atelier")
    assert told["usage"] == {"images": 1, "cost": 0.01}
    assert answer.headers["x-ccapi-cost"] == "0.01"
    assert answer.headers["x-ccapi-attempts"] == "atelier/one=200"
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(PNG)
    receipt = studio.stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert receipt["cost"] == "0.01"
    assert receipt["endpoint"] == "images.generations"


def test_another_model_takes_over_and_both_attempts_are_told(
    studio: Studio, account: Account
) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/v1/images/generate",
            json={
                "models": ["atelier/one", "spare/one"],
                "contents": [{"text": "status=429 times=1"}],
            },
        )

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ccapi-attempts"] == "atelier/one=429;spare/one=200"
    assert answer.json()["execution"]["provider"] == "spare"
    receipt = studio.stack.generation(account, answer.headers["x-ccapi-generation-id"])
    assert [each["status"] for each in receipt["attempts"]] == [429, 200]
    assert studio.charged(account) == 1


def test_a_refusal_by_everybody_is_an_error_and_costs_nothing(
    studio: Studio, account: Account
) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/v1/images/generate", json=generate("atelier/one", "status=401 everywhere")
        )
        job = client.get(f"/v1/images/jobs/{answer.json()['error']['details']['job']}").json()

    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["code"] == "provider_misconfigured"
    assert [each["status"] for each in error["details"]["attempts"]] == [401]
    assert (job["status"], job["error"]["code"]) == ("failed", "provider_misconfigured")
    assert studio.charged(account) == 0


def test_fewer_pictures_than_asked_are_charged_as_delivered(
    studio: Studio, account: Account
) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/v1/images/generations",
            json={"model": "atelier/one", "prompt": "made=1 of three", "n": 3},
        )

    assert len(answer.json()["data"]) == 1
    assert answer.json()["usage"] == {"images": 1, "cost": 0.01}
    assert studio.charged(account) == 1


def test_an_asynchronous_provider_answers_202_and_its_progress_streams(
    studio: Studio, account: Account
) -> None:
    with studio.stack.http(account) as client:
        answer = client.post("/v1/images/generate", json=generate("slow/one", "polls=2 streamed"))
        job = answer.json()
        with client.stream("GET", f"/v1/images/jobs/{job['id']}/events") as stream:
            told = [
                json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")
            ]
        final = client.get(job["poll_url"]).json()

    assert answer.status_code == 202
    assert answer.headers["location"] == job["poll_url"]
    assert (job["status"], job["execution"]["mode"]) == ("pending", "async")
    assert told[-1]["status"] == "completed"
    assert "processing" in [each["status"] for each in told]
    assert final["data"][0]["url"]
    assert studio.charged(account) == 1


def test_openais_route_waits_for_an_asynchronous_provider(studio: Studio, account: Account) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/v1/images/generations", json={"model": "slow/one", "prompt": "waited"}
        )

    assert answer.status_code == 200, answer.text
    assert answer.json()["provider"] == "slow"


def test_a_wait_that_is_over_names_the_job_and_forbids_to_order_again(
    studio: Studio, account: Account
) -> None:
    with studio.stack.http(account) as client:
        answer = client.post(
            "/v1/images/generations",
            json={"model": "slow/one", "prompt": "polls=3 impatient"},
            headers={"prefer": "wait=1"},
        )
        error = answer.json()["error"]

    assert answer.status_code == 504
    assert error["code"] == "upstream_timeout"
    assert answer.headers["x-should-retry"] == "false"
    assert studio.end_of(account, error["details"]["job"])["status"] == "completed"
    assert studio.charged(account) == 1


def test_a_failed_prediction_is_taken_over_by_the_next_model(
    studio: Studio, account: Account
) -> None:
    order = studio.order(account, "fails", model="", models=["slow/one", "atelier/one"])

    ended = studio.end_of(account, order.json()["id"])

    assert ended["status"] == "completed"
    assert ended["execution"]["provider"] == "atelier"
    receipt = studio.stack.generation(account, order.headers["x-ccapi-generation-id"])
    assert [each["model"] for each in receipt["attempts"]] == ["slow/one", "atelier/one"]
    assert studio.charged(account) == 1


def test_a_cancelled_prediction_is_cancelled_there_and_gives_the_hold_back(
    studio: Studio, account: Account
) -> None:
    order = studio.order(account, "never cancelled", model="slow/one")
    job = order.json()["id"]
    _until_processing(studio, account, job)

    with studio.stack.http(account) as client:
        told = client.delete(f"/v1/images/jobs/{job}")
        again = client.delete(f"/v1/images/jobs/{job}")

    assert told.json()["status"] in ("processing", "cancelled")
    assert studio.end_of(account, job)["status"] == "cancelled"
    assert again.status_code == 200
    assert "never cancelled" in studio.atelier.cancelled
    assert studio.charged(account) == 0


def test_what_was_delivered_before_the_cancel_is_charged(studio: Studio, account: Account) -> None:
    order = studio.order(account, "delay=0.7 too late to cancel")
    job = order.json()["id"]
    _until_processing(studio, account, job)

    with studio.stack.http(account) as client:
        told = client.delete(f"/v1/images/jobs/{job}")

    assert told.json()["status"] == "processing"
    assert studio.end_of(account, job)["status"] == "completed"
    assert studio.charged(account) == 1


def test_another_organizations_job_is_not_there(studio: Studio, account: Account) -> None:
    mine = studio.order(account, "mine").json()["id"]
    stranger = studio.stack.account()

    with studio.stack.http(stranger) as client:
        answers = [
            client.get(f"/v1/images/jobs/{mine}"),
            client.delete(f"/v1/images/jobs/{mine}"),
            client.get(f"/v1/images/jobs/{mine}/events"),
            client.get("/v1/images/jobs/job_nonsense"),
        ]
        listed = client.get("/images/jobs").json()

    assert [each.status_code for each in answers] == [404] * 4
    assert {each.json()["error"]["code"] for each in answers} == {"job_not_found"}
    assert listed["data"] == []


def test_jobs_are_listed_newest_first_page_by_page(studio: Studio, account: Account) -> None:
    made = [studio.order(account, f"listed {number}").json()["id"] for number in range(3)]
    for job in made:
        studio.end_of(account, job)

    with studio.stack.http(account) as client:
        first = client.get("/images/jobs", params={"limit": 2}).json()
        second = client.get("/images/jobs", params={"cursor": first["next_cursor"]}).json()
        failed = client.get("/images/jobs", params={"state": "failed"}).json()
        wrong = client.get("/images/jobs", params={"state": "lost"})

    assert [each["id"] for each in (*first["data"], *second["data"])] == made[::-1]
    assert second["next_cursor"] is None
    assert failed["data"] == []
    assert wrong.status_code == 400


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_billed_route_refuses_an_empty_wallet_before_the_provider(
    studio: Studio, path: str
) -> None:
    broke = studio.stack.account("0.001")
    body = {"model": "atelier/one", "prompt": "no money"}
    if path.endswith("generate"):
        body = generate("atelier/one", "no money")

    with studio.stack.http(broke) as client:
        answer = client.post(path, json=body)
        listed = client.get("/images/jobs").json()

    assert answer.status_code == 402
    assert answer.headers["x-should-retry"] == "false"
    assert studio.atelier.orders["no money"] == 0
    assert listed["data"] == []


@pytest.mark.parametrize("path", ["/images/generations", "/v1/images/generate"])
def test_wrong_requests_get_clear_errors(studio: Studio, account: Account, path: str) -> None:
    with studio.stack.http(account) as client:
        got = client.get(path)
        not_json = client.post(path, content=b"{nope")
        no_model = client.post(path, json={"prompt": "x", "contents": [{"text": "x"}]})
        large = client.post(path, content=b"x" * (33 * 1024 * 1024))
        unknown = client.post(path, json={**generate("no/such", "x"), "prompt": "x"})
    with studio.stack.http(None) as nobody:
        stranger = nobody.post(path, json={"model": "atelier/one", "prompt": "x"})

    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert (not_json.status_code, no_model.status_code) == (400, 400)
    assert large.status_code == 413
    assert unknown.status_code in (400, 404)
    assert stranger.status_code == 401
    for answer in (got, not_json, no_model, large, unknown, stranger):
        assert answer.json()["error"]["code"]
        assert answer.headers["x-request-id"].startswith("req_")


def test_a_client_that_hangs_up_before_anybody_began_has_given_up(
    studio: Studio, account: Account
) -> None:
    studio.atelier.release.clear()
    blockers = [studio.order(account, f"held blocker {number}").json()["id"] for number in range(4)]
    for blocker in blockers:
        _until_processing(studio, account, blocker)

    with pytest.raises(httpx2.TimeoutException), studio.stack.http(account) as client:
        client.post(
            "/v1/images/generations",
            json={"model": "atelier/one", "prompt": "given up"},
            timeout=0.5,
        )
    with studio.stack.http(account) as client:
        given_up = client.get("/images/jobs", params={"limit": 1}).json()["data"][0]["id"]
    ended = studio.end_of(account, given_up)
    studio.atelier.release.set()
    for blocker in blockers:
        studio.end_of(account, blocker)

    assert ended["status"] == "cancelled"
    assert studio.atelier.orders["given up"] == 0
    assert studio.charged(account) == 4


def test_the_end_of_a_job_is_told_by_webhook_as_it_is_told_when_asked(
    studio: Studio, account: Account
) -> None:
    hook = f"{studio.atelier.url}/hook"
    order = studio.order(account, "hooked", webhook_url=hook)
    inside = studio.order(account, "inside", webhook_url="http://169.254.169.254/latest")
    job = order.json()["id"]

    ended = studio.end_of(account, job)
    until = time.monotonic() + 15
    while not (told := [each for each in studio.atelier.hooks if each[1]["id"] == job]):
        assert time.monotonic() < until
        time.sleep(0.05)

    headers = {name.lower(): value for name, value in told[0][0].items()}
    assert told[0][1]["status"] == ended["status"] == "completed"
    assert len(told[0][1]["data"]) == 1
    assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= headers.keys()
    assert (inside.status_code, inside.json()["error"]["param"]) == (400, "webhook_url")


def test_what_is_known_of_a_prompt_is_gone_with_the_job(studio: Studio, account: Account) -> None:
    order = studio.order(account, "a secret prompt", model="slow/one")
    job = order.json()["id"]
    (sealed,) = studio.stack.rows(
        "SELECT ciphertext FROM media_job_input WHERE job_id = %s", job[4:]
    )

    studio.end_of(account, job)

    assert b"secret" not in bytes(sealed[0])
    assert not studio.stack.rows("SELECT 1 FROM media_job_input WHERE job_id = %s", job[4:])
    (row,) = studio.stack.rows("SELECT j::text FROM media_job j WHERE id = %s", job[4:])
    assert "secret" not in row[0]


def _until_processing(studio: Studio, account: Account, job: str) -> None:
    until = time.monotonic() + 10
    while studio.job(account, job)["status"] == "pending":
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.1)
