"""GET /images/jobs/{id}/events: a job's progress as Server-Sent Events, until it has ended.

Each event is named `job` and has the job as GET /images/jobs/{id} tells it, pictures as links. It
begins with how the job stands and ends after its end; a process that ends closes its streams, and
an EventSource asks another one again by itself.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from accounts.api import authenticate, credential
from ccapi.core import clock, ids, vitals
from ccapi.core.lane import Receive, Send, until_gone
from media_jobs import answers, watching
from media_jobs.finding import find
from media_jobs.models import Job
from media_jobs.routes import ImageRoute
from media_jobs.threads import in_thread

LOOK_S = 1.0
HEARTBEAT_S = 15.0  # below what proxies commonly wait
STREAM_S_MAX = 3600.0

_encode = msgspec.json.Encoder().encode


async def serve(
    route: ImageRoute, scope: dict[str, Any], receive: Receive, send: Send, request_id: UUID
) -> None:
    """Raises: GatewayError, before anything is sent."""
    caller = await authenticate(credential(scope["headers"], scope["query_string"]))
    job = await in_thread(lambda: find(caller.organization_id, route.job))
    headers = {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-request-id": ids.request_id(request_id),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    gone = asyncio.create_task(until_gone(receive))
    try:
        with watching.current().following(job.pk) as follower:
            gone.add_done_callback(lambda _gone: follower.wake())
            await _follow(follower, gone, job, send)
    finally:
        gone.cancel()


async def _follow(
    follower: watching.Follower, gone: "asyncio.Task[None]", job: Job, send: Send
) -> None:
    until = clock.monotonic() + STREAM_S_MAX
    silent_since = clock.monotonic()
    while clock.monotonic() < until:
        seen = await follower.next(LOOK_S)
        if gone.done():
            return
        if seen is not None:
            told = await in_thread(lambda: answers.told(Job.objects.get(pk=job.pk)))
            await _write(send, b"event: job\ndata: " + _encode(told) + b"\n\n")
            silent_since = clock.monotonic()
            if seen.is_over:
                break
        elif clock.monotonic() - silent_since >= HEARTBEAT_S:
            await _write(send, b": still here\n\n")
            silent_since = clock.monotonic()
        if vitals.current().draining:
            break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
