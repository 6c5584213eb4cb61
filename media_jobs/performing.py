"""One performance of a job: claimed, taken one step on, and put back or ended.

A step is a call of the offers in turn, or a question to the asynchronous provider that has the
work. No lock and no transaction is held while a provider is waited for. What a step finds out is
written by the fence of its claim, so it does not matter how often, how late or by how many workers
a job is performed. A performance that comes to nothing by a fault of ours is repeated after a
while, three times in all.
"""

import hashlib
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import DatabaseError, OperationalError

from billing.types import Attempt
from catalog.api import current_sync, price_version
from catalog.types import PriceVersion
from ccapi.core import clock
from ccapi.core.errors import (
    BillingUnavailable,
    GatewayError,
    InternalError,
    NoProviderAvailable,
    UpstreamTimeout,
)
from gateway.routing import failover
from media_jobs import endings, leases, notify, plan, polling, runner, sealed
from media_jobs.calls import Answered, Calls, Refused
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.plan import Entry, Offered
from media_jobs.types import Delivered, Pending, Started

log = structlog.get_logger(__name__)

TRIES_MAX = 3
PATIENCE_S = (0.2, 1.0, 3.0)  # well within a lease


def perform(pk: UUID) -> None:
    """Take a job one step on, if it is due and nobody's."""
    job = leases.claim(pk)
    if job is None:
        return
    try:
        _step(job)
    except Superseded as error:
        log.info("job.superseded", job=job.public_id, reason=str(error))
    except Exception:
        log.exception("job.crashed", job=job.public_id, tries=job.tries)
        _again(job)


def _step(job: Job) -> None:
    """Raises: Superseded."""
    if job.tries > TRIES_MAX:
        reason = f"The job was tried {TRIES_MAX} times, and each time something of ours failed."
        _fail(job, InternalError(reason))
    elif job.started is not None:
        _ask(job)
    elif job.cancel_requested_at is not None:
        endings.cancel(job, _price(job))
    elif clock.now() >= job.deadline_at:
        _fail(job, _too_late())
    else:
        _call(job)


def _again(job: Job) -> None:
    """After a fault of ours: once more, later; twice as late each time."""
    try:
        leases.put_back(job, after_s=settings.CCAPI_JOB_RETRY_S * 2 ** (job.tries - 1))
    except (Superseded, DatabaseError):
        return  # somebody else's, or the lease's end has the same effect


# -- asking the offers in turn


def _call(job: Job) -> None:
    offers = _offers(job)
    if not offers:
        _fail(job, NoProviderAvailable("None of the models' providers is available any more."))
        return
    request = sealed.read(job)

    async def work() -> Answered | Refused:
        return await Calls(job, request, offers).run(notify_url=notify.url(job))

    answer = runner.run(leases.kept(job, work()))
    attempts = [*_attempts(job), *answer.attempts]
    match answer:
        case Answered(result=Delivered() as delivered):
            _complete(job, answer.offered, delivered, attempts, answer.dropped)
        case Answered(result=Started() as started):
            _begun(job, answer, started, attempts)
        case Refused():
            _refused(job, answer, attempts)


def _begun(job: Job, answer: Answered, started: Started, attempts: Sequence[Attempt]) -> None:
    """An asynchronous provider has the work: from now on it is asked how that stands.

    Where it has not said so, it may tell us yet (`notify`): until then the hold stands.
    """
    offered = answer.offered
    work = polling.Work(offer=offered.offer.id, key_id=_key_id(answer.key), upstream=started)
    leases.put_back(
        job,
        after_s=polling.pause_s(0) if started.upstream_id else settings.CCAPI_JOB_UNHEARD_S,
        started=msgspec.to_builtins(work),
        tries=0,
        is_async=True,
        model=offered.model.id,
        provider=offered.offer.provider.name,
        attempts=msgspec.to_builtins(attempts),
        dropped=list(answer.dropped),
        estimated_s=started.estimated_s,
    )
    endings.publish(job)


def _refused(job: Job, answer: Refused, attempts: Sequence[Attempt]) -> None:
    if answer.retry_s is not None and job.cancel_requested_at is None:
        # Our own limits at the provider: a job can wait for its turn.
        leases.put_back(job, after_s=answer.retry_s, tries=0)
        return
    job.refresh_from_db(fields=["cancel_requested_at"])
    if job.cancel_requested_at is not None:
        job.attempts = msgspec.to_builtins(attempts)
        endings.cancel(job, _price(job))
    else:
        endings.fail(job, _price(job), answer.error, attempts)


# -- asking the one that has the work


def _ask(job: Job) -> None:
    """How the work stands; given up where the customer or the time for it says so."""
    work = msgspec.convert(job.started, polling.Work)
    if not work.upstream.upstream_id:
        _failed(job, work, polling.never_heard_of())
        return
    offered = next((each for each in _all_offers(job) if each.offer.id == work.offer), None)
    gives_up = job.cancel_requested_at is not None or clock.now() >= job.deadline_at
    if offered is None:
        # Taken out of the catalog while it works: it may come back as long as there is time.
        found: polling.Found = polling.Unknown()
    else:
        target = offered.target(_key(offered, work.key_id))
        question = polling.ask(offered.driver, work.upstream, target, gives_up=gives_up)
        found = runner.run(leases.kept(job, question))
    match found:
        case Delivered() if offered is not None:
            attempts = _attempts(job)
            # It has served, also where its answer to the order never came.
            attempts[-1] = msgspec.structs.replace(attempts[-1], status=200, error="")
            _complete(job, offered, found, attempts, job.dropped)
        case polling.Failed():
            _failed(job, work, found)
        case _ if job.cancel_requested_at is not None:
            endings.cancel(job, _price(job))
        case _ if gives_up:
            _fail(job, _too_late())
        case Pending(progress=progress, estimated_s=estimated_s):
            _still(job, progress=progress, estimated_s=estimated_s)
        case _:
            _still(job, progress=job.progress, estimated_s=job.estimated_s)


def _still(job: Job, *, progress: float | None, estimated_s: float | None) -> None:
    """It is at work, or cannot be asked just now: later."""
    leases.put_back(
        job,
        after_s=polling.pause_s(job.polls + 1),
        tries=0,
        polls=job.polls + 1,
        progress=progress,
        estimated_s=estimated_s,
    )
    if progress != job.progress:
        endings.publish(job)


def _failed(job: Job, work: polling.Work, found: polling.Failed) -> None:
    """It took the work and failed: the next one's turn, where the reason allows."""
    failure = found.failure.as_attempt()
    error = failover.error_for(failure, all_rate_limited=True)
    attempts = _attempts(job)
    attempts[-1] = msgspec.structs.replace(
        attempts[-1], status=failover.status_of(failure), error=error.code
    )
    entries = msgspec.convert(job.plan, list[Entry])
    for entry in entries:
        entry.is_spent = entry.is_spent or entry.offer == work.offer
    job.plan = msgspec.to_builtins(entries)
    job.attempts = msgspec.to_builtins(attempts)
    if job.cancel_requested_at is not None:
        endings.cancel(job, _price(job))
    elif not failover.moves_on(failure) or not _offers(job):
        endings.fail(job, _price(job), error, attempts)
    else:
        leases.put_back(
            job,
            after_s=0.0,
            tries=0,
            polls=0,
            plan=job.plan,
            attempts=job.attempts,
            started=None,
            progress=None,
            estimated_s=None,
        )


# -- what both need


def _complete(
    job: Job,
    offered: Offered,
    delivered: Delivered,
    attempts: Sequence[Attempt],
    dropped: Sequence[str],
) -> None:
    """What is made is worth some patience with a wallet that is locked, or a database away.

    Raises: Superseded.
    """
    for pause_s in PATIENCE_S:
        try:
            endings.complete(job, offered, delivered, attempts, dropped)
        except (BillingUnavailable, OperationalError) as error:
            log.warning("job.not_completed", job=job.public_id, error=type(error).__name__)
            time.sleep(pause_s)
        else:
            return
    endings.complete(job, offered, delivered, attempts, dropped)


def _offers(job: Job) -> tuple[Offered, ...]:
    """Those that have not failed already with the work in their hands."""
    found = plan.read(current_sync(), job.plan)
    return tuple(offered for entry, offered in found if not entry.is_spent)


def _all_offers(job: Job) -> tuple[Offered, ...]:
    return tuple(offered for _, offered in plan.read(current_sync(), job.plan))


def _attempts(job: Job) -> list[Attempt]:
    return msgspec.convert(job.attempts, list[Attempt])


def _fail(job: Job, error: GatewayError) -> None:
    endings.fail(job, _price(job), error, _attempts(job))


def _price(job: Job) -> PriceVersion:
    """Of the hold: what a receipt of nothing names."""
    found = price_version(job.hold_price_version)
    assert found is not None  # noqa: S101 — approved versions are never deleted
    return found


def _too_late() -> UpstreamTimeout:
    return UpstreamTimeout(
        f"The pictures were not there within {settings.CCAPI_JOB_TOTAL_S:.0f} seconds."
    )


def _key_id(key: str) -> str:
    """Which of a provider's keys began the work; the key itself stands nowhere."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


def _key(offered: Offered, key_id: str) -> str:
    keys = offered.offer.provider.api_keys
    return next((key for key in keys if _key_id(key) == key_id), keys[0] if keys else "")
