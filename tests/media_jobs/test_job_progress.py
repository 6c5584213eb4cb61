"""The stream of a job's progress when the process that sends it ends."""

import json
import signal
import time
from typing import Any

from tests.e2e.stack import Account
from tests.media_jobs.studio import Studio, wait_for_job


def test_a_stream_ends_in_order_with_its_process_and_another_goes_on_to_the_jobs_end(
    studio: Studio, account: Account
) -> None:
    ending = studio.stack.web()
    job = studio.order(account, "polls=3 while a process ends", model="slow/one").json()["id"]
    path = f"/v1/images/jobs/{job}/events"
    wait_for_job(studio.stack, job, "started IS NOT NULL")

    with (
        studio.stack.http(account, ending) as client,
        client.stream("GET", path) as stream,
    ):
        lines = stream.iter_lines()
        first = [next(lines), next(lines), next(lines)]
        ending.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        rest = list(lines)  # raises where the stream is cut rather than ended
        ended_s = time.monotonic() - told
    code = ending.process.wait(20)
    with studio.stack.http(account) as client, client.stream("GET", path) as stream:
        again = list(stream.iter_lines())

    assert first[0] == "event: job"
    assert _jobs(first)[0]["status"] == "processing"
    assert "completed" not in [each["status"] for each in _jobs(rest)]
    assert ended_s < 3
    assert code == 0
    statuses = [each["status"] for each in _jobs(again)]
    assert statuses[0] == "processing"
    assert statuses[-1] == "completed"
    assert _jobs(again)[-1]["data"]
    assert studio.charged(account) == 1


def _jobs(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
