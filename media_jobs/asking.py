"""A question to the asynchronous provider that has a job's work, and what follows from its answer.

The call itself, and when the next one is due, is `media_jobs.polling`; as every step of a job it
is made under a lease (`media_jobs.performing`).
"""

import hashlib

import msgspec

from gateway.routing import failover
from media_jobs import endings, facts, leases, places, polling, queue, runner
from media_jobs.models import Job
from media_jobs.plan import Entry, Offered
from media_jobs.types import Delivered, Pending


def ask(job: Job) -> None:
    """How the work stands; given up where the customer or the time for it says so."""
    work = msgspec.convert(job.started, polling.Work)
    if not work.upstream.upstream_id:
        _failed(job, work, polling.never_heard_of())
        return
    offered = next((each for each in facts.all_offers(job) if each.offer.id == work.offer), None)
    gives_up = job.cancel_requested_at is not None or facts.is_late(job)
    if offered is None:
        # Taken out of the catalog while it works: it may come back as long as there is time.
        found: polling.Found = polling.Unknown()
    else:
        target = offered.target(_key(offered, work.key_id))
        question = polling.ask(offered.driver, work.upstream, target, gives_up=gives_up)
        found = runner.run(leases.kept(job, question))
    match found:
        case Delivered() if offered is not None:
            # It has served, also where its answer to the order never came.
            endings.complete(job, offered, found, facts.with_last(job, 200, ""), job.dropped)
        case polling.Failed() if not (gives_up and found.is_given_up):
            _failed(job, work, found)
        case _ if job.cancel_requested_at is not None:
            endings.cancel(job, facts.price(job))
        case _ if gives_up:
            error = facts.too_late(job)
            endings.fail(
                job, facts.price(job), error, facts.with_last(job, error.status, error.code)
            )
        case Pending(progress=progress, estimated_s=estimated_s):
            _still(job, progress=progress, estimated_s=estimated_s)
        case _:
            _still(job, progress=job.progress, estimated_s=job.estimated_s)


def _still(job: Job, *, progress: float | None, estimated_s: float | None) -> None:
    """It is at work, or cannot be asked just now: later."""
    leases.put_back(
        job,
        after_s=min(polling.pause_s(job.polls + 1), facts.left_s(job)),
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
    attempts = facts.with_last(job, failover.status_of(failure), error.code)
    entries = msgspec.convert(job.plan, list[Entry])
    for entry in entries:
        entry.is_spent = entry.is_spent or entry.offer == work.offer
    job.plan = msgspec.to_builtins(entries)
    job.attempts = msgspec.to_builtins(attempts)
    if job.cancel_requested_at is not None:
        endings.cancel(job, facts.price(job))
    elif not failover.moves_on(failure) or not facts.offers(job):
        endings.fail(job, facts.price(job), error, attempts)
    else:
        leases.put_back(
            job,
            after_s=0.0,
            tries=0,
            polls=0,
            plan=job.plan,
            attempts=job.attempts,
            started=None,
            place=None,
            progress=None,
            estimated_s=None,
        )
        job.started = None
        queue.enqueue(job)
        if job.place is not None:
            places.hand_on(job.place)


def key_id(key: str) -> str:
    """Which of a provider's keys began the work; the key itself stands nowhere."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


def _key(offered: Offered, wanted: str) -> str:
    keys = offered.offer.provider.api_keys
    return next((key for key in keys if key_id(key) == wanted), keys[0] if keys else "")
