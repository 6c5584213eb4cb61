"""Delivering what is due: many at once, one process at a time, no transaction while it waits.

A worker that is killed between a POST and its row leaves a lease that ends: then the event is sent
again with the same `webhook-id`, which is how receivers know it. Never lost, at least once.
"""

import concurrent.futures
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from contextlib import contextmanager

from django.db import connection

from ccapi.core import clock, egress, metrics
from ccapi.core.logs import get_logger
from media_jobs import runner
from media_jobs.webhooks import outbox, signing
from media_jobs.webhooks.models import Delivery
from media_jobs.webhooks.outbox import Claimed, Outcome

log = get_logger(__name__)

POST_S = 15.0
RUN_S = 60.0  # then the worker is somebody else's for a moment
LOOK_S = 0.5  # how soon what has become due joins those that are under way
SHOWN_BYTES = 500  # of an answer, in the log of attempts
LOCK = "SELECT pg_try_advisory_lock(hashtext('webhooks.deliver'))"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('webhooks.deliver'))"


def deliver_due(limit: int) -> int:
    """Deliver what is due, at most `limit` at once, until nothing is; how many were tried.

    Returns at once where another process is at it: one keeps up to `limit` receivers waiting, and
    no worker is kept from its other work by slow ones.
    """
    with _alone() as alone:
        return _deliver(limit) if alone else 0


def _deliver(limit: int) -> int:
    under_way: dict[Future[Outcome], Claimed] = {}
    until = clock.monotonic() + RUN_S
    count = 0
    try:
        while True:
            if len(under_way) < limit and clock.monotonic() < until:
                for claimed in outbox.claim(limit - len(under_way)):
                    under_way[_started(claimed)] = claimed
            if not under_way:
                return count
            done, _ = concurrent.futures.wait(under_way, LOOK_S, return_when=FIRST_COMPLETED)
            for future in done:
                _close(under_way.pop(future), future.result())
                count += 1
    finally:
        for future in under_way:  # the database is away: their leases end, and they go out again
            future.cancel()


def _started(claimed: Claimed) -> "Future[Outcome]":
    headers = signing.headers(
        claimed.organization_id,
        event_id=claimed.event_id,
        payload=claimed.payload,
        now=claimed.now,
    )
    return runner.submit(_send(claimed, headers))


async def _send(claimed: Claimed, headers: dict[str, str]) -> Outcome:
    started = clock.monotonic()
    headers = {"content-type": "application/json", **headers}
    try:
        answer = await egress.post(
            claimed.url, content=claimed.payload, headers=headers, seconds=POST_S
        )
    except egress.EgressError as error:
        return Outcome(claimed.now, clock.elapsed_ms(started), error=error.reason)
    return Outcome(
        claimed.now,
        clock.elapsed_ms(started),
        status=answer.status,
        answer=_text(answer.data),
        retry_after=answer.retry_after,
    )


def _close(claimed: Claimed, outcome: Outcome) -> None:
    row = outbox.close(claimed, outcome)
    metrics.WEBHOOKS.add(("delivered" if outcome.is_good else "failed",))
    log.info(
        "webhook.attempted",
        delivery=row.public_id,
        webhook_id=row.event_id,
        attempt=row.attempts_count,
        status=outcome.status,
        error=outcome.error,
        duration_ms=outcome.duration_ms,
        state=row.state,
    )
    if row.state == Delivery.State.DISABLED:
        log.warning(
            "webhook.url_disabled", delivery=row.public_id, organization=row.organization_id
        )


def _text(data: bytes) -> str:
    """How an answer begins, as text that PostgreSQL takes."""
    return data[:SHOWN_BYTES].decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other process delivers. The lock goes with the connection, if not before."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute(UNLOCK)
