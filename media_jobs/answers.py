"""How a job is told: OpenAI's shape for `/images/generations`, ours for everything else.

Pure functions of a row. Pictures as base64 are added by those who have read them (`with_data`).
"""

import base64
from typing import Any

import msgspec

from billing.types import Attempt
from ccapi.core import ids, money
from ccapi.core.errors import LinkExpired
from media_jobs.artefacts.api import link, read
from media_jobs.models import Job
from media_jobs.types import State

GENERATIONS, GENERATE = "images.generations", "images.generate"
# The client's protocol, as receipts name it, by endpoint.
PROTOCOLS = {GENERATIONS: "openai", GENERATE: "ccapi"}
ATTEMPTS_BYTES_MAX = 2048


def told(job: Job) -> dict[str, Any]:
    """The job as `/images/generate`, `/images/jobs` and webhooks tell it, with links to pictures.

    `data` has pictures once it is completed, `error` is there where it failed.
    """
    answer: dict[str, Any] = {
        "id": job.public_id,
        "object": "image.job",
        "created": int(job.created_at.timestamp()),
        "model": job.model,
        "status": job.state,
        "execution": {
            "mode": "async" if job.is_async else "sync",
            "operation": job.operation,
            "provider": job.provider,
        },
        "data": [_datum(job, result) for result in job.results],
        "poll_url": poll_url(job),
    }
    if job.finished_at is not None:
        answer["finished"] = int(job.finished_at.timestamp())
    else:
        if job.progress is not None:
            answer["progress"] = round(job.progress, 3)
        if job.estimated_s is not None:
            answer["estimated_time"] = round(job.estimated_s, 1)
    if job.error is not None:
        answer["error"] = {key: job.error[key] for key in ("message", "type", "code", "details")}
    if job.cost_nano is not None:
        answer["usage"] = _usage(job)
    return answer


def generations(job: Job) -> dict[str, Any]:
    """A completed job as OpenAI answers."""
    return {
        "created": int(job.created_at.timestamp()),
        "model": job.model,
        "provider": job.provider,
        "data": [_datum(job, result) for result in job.results],
        "usage": _usage(job),
    }


def with_data(job: Job, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its pictures as base64, where that was asked for. Reads the storage."""
    if job.response_format != "b64_json":
        return answer
    for result, datum in zip(job.results, answer["data"], strict=True):
        try:
            data = read(result["name"])
        except LinkExpired:
            continue  # its link says so to those who follow it
        del datum["url"]
        datum["b64_json"] = base64.b64encode(data).decode()
    return answer


def poll_url(job: Job) -> str:
    return f"{job.base_url}/v1/images/jobs/{job.public_id}"


def headers(job: Job) -> dict[str, str]:
    """What is told of who made the pictures."""
    found = {"x-ccapi-generation-id": ids.generation_id(job.pk)}
    attempts = msgspec.convert(job.attempts, list[Attempt])
    if attempts:
        told_attempts = ";".join(f"{each.model}={each.status or 'skipped'}" for each in attempts)
        found["x-ccapi-attempts"] = told_attempts[:ATTEMPTS_BYTES_MAX]
    if job.state == State.COMPLETED:
        found["x-ccapi-provider"] = job.provider
        found["x-ccapi-model"] = job.model
    if job.cost_nano is not None:
        found["x-ccapi-cost"] = money.dollar_number(job.cost_nano)
    if job.dropped:
        found["x-ccapi-dropped"] = ",".join(job.dropped)
    return found


def _usage(job: Job) -> dict[str, Any]:
    cost = msgspec.Raw(money.dollar_number(job.cost_nano or 0).encode())
    return {"images": len(job.results), "cost": cost}


def _datum(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    datum: dict[str, Any] = {"url": link(result["name"], base_url=job.base_url)}
    if result["revised_prompt"]:
        datum["revised_prompt"] = result["revised_prompt"]
    if result["seed"] is not None:
        datum["seed"] = result["seed"]
    return datum
