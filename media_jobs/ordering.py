"""An order of pictures, from its body to its answer: taken on as a job, and waited for.

Nothing is held, and nothing fetched, for an order that cannot be carried out. The wait ends with
the job, with the client's patience or ours, or with this process; the job goes on in any case. A
client that hangs up while nobody has begun with its job has given it up.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.conf import settings

from accounts.api import authenticate, credential
from accounts.types import Caller
from billing.api import reserve
from catalog.api import current
from ccapi.core import clock, vitals
from ccapi.core.errors import (
    GatewayError,
    InvalidRequest,
    Overloaded,
    UpstreamFailed,
    UpstreamTimeout,
)
from ccapi.core.lane import Receive, until_gone
from gateway.incoming import ClientGone, is_long, read_body
from gateway.relay import parse
from media_jobs import answers, cancelling, inputs, plan, preferring, reading, watching
from media_jobs.accept import Order, accept
from media_jobs.answers import GENERATIONS
from media_jobs.models import Job
from media_jobs.preferring import Wish
from media_jobs.routes import ImageRoute
from media_jobs.threads import in_thread
from media_jobs.types import State
from media_jobs.watching import Follower
from media_jobs.webhooks.api import check_url

log = structlog.get_logger(__name__)

LAST_S = 3.0  # of a process's end: what an answer takes to be told
LOOK_S = 1.0  # how often a wait looks whether this process ends


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


async def answer(
    route: ImageRoute, scope: dict[str, Any], receive: Receive, request_id: UUID
) -> Answer:
    """Raises: GatewayError, ClientGone."""
    if vitals.current().is_late:
        raise Overloaded("This server has too much to do. Try again soon.")
    headers = scope["headers"]
    secret = credential(headers, scope["query_string"])
    if is_long(headers):
        await authenticate(secret)  # strangers must not fill our memory
    body = await read_body(headers, receive)
    caller = await authenticate(secret)
    wish = preferring.read(headers)
    reservation = await reserve(caller, request_id, 0)
    try:
        job = await _accepted(route, scope, body, caller, request_id)
        await _wait(route, job, wish, receive)
        found = await in_thread(lambda: _told(route, job, wish))
    except GatewayError as error:
        error.headers |= reservation.told()
        raise
    finally:
        reservation.settle(0)
    found.headers.update(reservation.told())
    return found


def base_url(scope: dict[str, Any]) -> str:
    """Where this client reaches us: the operator's word, else what the request itself named."""
    if settings.CCAPI_PUBLIC_URL:
        return str(settings.CCAPI_PUBLIC_URL)
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}"


async def _accepted(
    route: ImageRoute, scope: dict[str, Any], body: bytes, caller: Caller, request_id: UUID
) -> Job:
    """The job, taken on. Raises: GatewayError; nothing is held then."""
    read = reading.generations if route.name == GENERATIONS else reading.generate
    asked = read(parse(body))
    snapshot = await current()
    # Before anything is fetched: who may not order shall not make us fetch.
    plan.check(snapshot, caller, asked.request, seed=request_id.int)
    if asked.webhook_url:
        await check_url(asked.webhook_url)
    request = await inputs.fetched(asked)
    order = Order(
        request_id=request_id,
        caller=caller,
        endpoint=route.name,
        base_url=base_url(scope),
        request=request,
        offers=plan.offered_for(snapshot, caller, request, seed=request_id.int),
        webhook_url=asked.webhook_url,
    )
    return await in_thread(lambda: accept(order))


# -- waiting


async def _wait(route: ImageRoute, job: Job, wish: Wish, receive: Receive) -> None:
    """Until the job is over, an asynchronous provider has it, or it takes too long.

    Raises: ClientGone.
    """
    # OpenAI's clients know no 202: theirs is waited for at any provider.
    stays = route.name == GENERATIONS or wish.wait_s is not None
    if wish.is_async or (job.is_async and not stays):
        return
    longest_s = settings.CCAPI_IMAGE_WAIT_S
    wait_s = longest_s if wish.wait_s is None else min(wish.wait_s, longest_s)
    gone = asyncio.create_task(until_gone(receive))
    try:
        with watching.current().following(job.pk) as follower:
            gone.add_done_callback(lambda _gone: follower.wake())
            await _news(follower, gone, clock.monotonic() + wait_s, stays=stays)
        if gone.done():
            await in_thread(lambda: cancelling.give_up(job))
            raise ClientGone
    finally:
        gone.cancel()


async def _news(
    follower: Follower, gone: "asyncio.Task[None]", until: float, *, stays: bool
) -> None:
    is_ending = False
    while not gone.done() and (left := until - clock.monotonic()) > 0:
        seen = await follower.next(min(LOOK_S, left))
        if seen is not None and (seen.is_over or (seen.is_underway and not stays)):
            return
        if vitals.current().draining and not is_ending:
            is_ending = True
            until = min(until, clock.monotonic() + settings.CCAPI_SHUTDOWN_S - LAST_S)


# -- telling


def _told(route: ImageRoute, job: Job, wish: Wish) -> Answer:
    """What came of it so far. Raises: GatewayError."""
    job = Job.objects.get(pk=job.pk)
    headers = answers.headers(job)
    if wish.applied:
        headers["preference-applied"] = wish.applied
    is_openai = route.name == GENERATIONS
    if job.state == State.COMPLETED:
        body = answers.generations(job) if is_openai else answers.told(job)
        return Answer(status=200, body=answers.with_data(job, body), headers=headers)
    if job.is_over:
        error = _error(job)
    elif is_openai and not wish.is_async:
        error = _too_long(job)
    else:
        headers["location"] = answers.poll_url(job)
        return Answer(status=202, body=answers.told(job), headers=headers)
    error.headers |= headers
    raise error


def _too_long(job: Job) -> UpstreamTimeout:
    return UpstreamTimeout(
        "The pictures are not there yet. The job goes on: ask for it at `details.poll_url` rather"
        " than ordering again.",
        details={"job": job.public_id, "poll_url": answers.poll_url(job)},
        headers={"x-should-retry": "false"},
    )


def _error(job: Job) -> GatewayError:
    """Why there are no pictures, as an error again."""
    if job.error is None:
        return InvalidRequest("The job was cancelled.", details={"job": job.public_id})
    kind = _kinds().get((job.error["status"], job.error["code"]), UpstreamFailed)
    details = {"job": job.public_id, **job.error["details"]}
    return kind(job.error["message"], param=job.error.get("param"), details=details)


def _kinds() -> dict[tuple[int, str], type[GatewayError]]:
    found: dict[tuple[int, str], type[GatewayError]] = {}
    left: list[type[GatewayError]] = [GatewayError]
    while left:
        kind = left.pop()
        found.setdefault((kind.status, kind.code), kind)
        left += kind.__subclasses__()
    return found
