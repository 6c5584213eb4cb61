"""One performance of a job: claimed, taken one step on, and put back or ended.

A step is a call of the offers in turn, or a question to the asynchronous provider that has the
work (`media_jobs.asking`). No lock and no transaction is held while a provider is waited for. What
a step finds out is written by the fence of its claim, so it does not matter how often, how late or
by how many workers a job is performed. A performance that comes to nothing by a fault of ours is
repeated after a while, three times in all.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import DatabaseError

from billing.types import Attempt
from ccapi.core.errors import GatewayError, InternalError, NoProviderAvailable
from media_jobs import asking, endings, facts, leases, notify, places, polling, runner, sealed
from media_jobs.calls import Answered, Calls, Refused
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.types import Delivered, Started

log = structlog.get_logger(__name__)

TRIES_MAX = 3
AGAIN_S = 5.0  # those in line look what else there is


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
        asking.ask(job)
    elif job.cancel_requested_at is not None:
        endings.cancel(job, facts.price(job))
    elif facts.is_late(job):
        _fail(job, facts.too_late(job))
    else:
        _call(job)


def _again(job: Job) -> None:
    """After a fault of ours: once more, later; twice as late each time."""
    try:
        leases.put_back(job, after_s=settings.CCAPI_JOB_RETRY_S * 2 ** (job.tries - 1))
    except (Superseded, DatabaseError):
        return  # somebody else's, or the lease's end has the same effect


def _call(job: Job) -> None:
    offers = facts.offers(job)
    if not offers:
        _fail(job, NoProviderAvailable("None of the models' providers is available any more."))
        return
    request = sealed.read(job)

    async def work() -> Answered | Refused:
        return await Calls(job, request, offers).run(notify_url=notify.url(job))

    answer = runner.run(leases.kept(job, work()))
    attempts = [*facts.attempts_of(job), *answer.attempts]
    match answer:
        case Answered(result=Delivered() as delivered):
            endings.complete(job, answer.offered, delivered, attempts, answer.dropped)
        case Answered(result=Started() as started):
            _begun(job, answer, started, attempts)
        case Refused():
            _refused(job, answer, attempts)


def _begun(job: Job, answer: Answered, started: Started, attempts: Sequence[Attempt]) -> None:
    """An asynchronous provider has the work: from now on it is asked how that stands.

    Where it has not said so, it may tell us yet (`notify`): until then the hold stands.
    """
    offered = answer.offered
    work = polling.Work(offer=offered.offer.id, key_id=asking.key_id(answer.key), upstream=started)
    pause_s = polling.pause_s(0) if started.upstream_id else settings.CCAPI_JOB_UNHEARD_S
    leases.put_back(
        job,
        after_s=min(pause_s, facts.left_s(job)),
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
    job.refresh_from_db(fields=["cancel_requested_at"])
    is_given_up = job.cancel_requested_at is not None
    if not is_given_up and (answer.full is not None or answer.retry_s is not None):
        _wait(job, answer)
    elif is_given_up:
        job.attempts = msgspec.to_builtins(attempts)
        endings.cancel(job, facts.price(job))
    else:
        endings.fail(job, facts.price(job), answer.error, attempts)


def _wait(job: Job, answer: Refused) -> None:
    """Our own limits are in the way, and a job can wait for its turn.

    In line for a place it is left alone until its turn or the end of its time, unless another
    offer, which was not called now, may be to be had before. Those that have failed are not asked
    again and again.
    """
    attempts = [*facts.attempts_of(job), *answer.tried]
    if answer.full is not None and (answer.tried or len(answer.attempts) == 1):
        after_s = facts.left_s(job)
    else:
        after_s = AGAIN_S if answer.retry_s is None else answer.retry_s
    leases.put_back(
        job,
        after_s=after_s,
        tries=0,
        place=None,
        waits_for=answer.full,
        attempts=msgspec.to_builtins(attempts),
    )
    if answer.full is not None:
        places.hand_on(answer.full)  # what became free meanwhile


def _fail(job: Job, error: GatewayError) -> None:
    endings.fail(job, facts.price(job), error, facts.attempts_of(job))
