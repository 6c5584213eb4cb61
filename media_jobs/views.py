"""GET /images/jobs, GET and DELETE /images/jobs/{id}: an organization's own jobs.

Ordering and waiting for one is `media_jobs.app`.
"""

import time
from typing import Any
from uuid import UUID

import msgspec
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from ccapi.core import clock, ids
from ccapi.core.errors import InvalidParameter
from ccapi.core.strict import validated
from media_jobs import answers, cancelling, finding
from media_jobs.models import Job
from media_jobs.serializers import JobListQuery

# How long a DELETE waits for what came of it, in seconds: a provider's own cancelling is quick.
CANCEL_S, LOOK_S = 3.0, 0.1


class Told(JSONRenderer):
    """Answers hold amounts as exact number literals, which only msgspec writes as they are."""

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:  # noqa: ANN401 — REST framework's own
        return msgspec.json.encode(data)


class Jobs(APIView):
    """GET /images/jobs: newest first, pictures as links."""

    renderer_classes = (Told,)

    def get(self, request: Request) -> Response:
        query = validated(JobListQuery(data=request.query_params))
        jobs = finding.of(caller_of(request).organization_id).order_by("-id")
        if query["state"] is not None:
            jobs = jobs.filter(state=query["state"])
        if query["cursor"] is not None:
            jobs = jobs.filter(id__lt=_after(query["cursor"]))
        found = list(jobs[: query["limit"] + 1])
        page = found[: query["limit"]]
        more = len(found) > len(page)
        return Response(
            {
                "object": "list",
                "data": [answers.told(job) for job in page],
                "next_cursor": page[-1].public_id if more else None,
            }
        )


class JobDetail(APIView):
    """GET and DELETE /images/jobs/{id}."""

    renderer_classes = (Told,)

    def get(self, request: Request, job: str) -> Response:
        return _told(finding.find(caller_of(request).organization_id, job))

    def delete(self, request: Request, job: str) -> Response:
        found = finding.find(caller_of(request).organization_id, job)
        if not found.is_over:
            cancelling.cancel(found)
            found = _settled(found)
        return _told(found)


def _settled(job: Job) -> Job:
    """The job as it stands, soon: a worker may have to tell its provider first."""
    until = clock.monotonic() + CANCEL_S
    while True:
        job.refresh_from_db()
        # A synchronous call cannot be taken back: it is not waited for.
        if job.is_over or job.started is None or clock.monotonic() >= until:
            return job
        time.sleep(LOOK_S)


def _told(job: Job) -> Response:
    answer = answers.with_data(job, answers.told(job))
    headers = answers.headers(job)
    if not job.is_over:
        headers["retry-after"] = "1"
    return Response(answer, headers=headers)


def _after(cursor: str) -> UUID:
    found = ids.parse_job_id(cursor)
    if found is None:
        raise InvalidParameter(
            "cursor: this is none of ours. Send the next_cursor of the page before.",
            param="cursor",
        )
    return found
