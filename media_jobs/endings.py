"""How a job ends: completed, failed or cancelled, each with its settlement, in one transaction.

State, money, pictures, webhook and the deletion of the input commit together or not at all, and
only by the hand that holds the job. What a job cost is worked out here, at the price of its plan.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from django.db import OperationalError, transaction
from django.db.models.functions import Now

from billing.api import charge, settle_hold, with_tokens
from billing.types import Attempt, Charge, Hold, Outcome, Settlement, UsageSource
from catalog.types import PriceVersion
from ccapi.core import clock, ids, metrics, valkey
from ccapi.core.errors import BillingUnavailable, GatewayError, UpstreamTimeout
from ccapi.core.usage import Usage
from media_jobs import answers, leases, places, queue, sealed
from media_jobs.artefacts.api import keep
from media_jobs.calls import attempts_detail
from media_jobs.leases import Superseded
from media_jobs.models import Job
from media_jobs.plan import Offered
from media_jobs.types import Delivered, Made, State
from media_jobs.watching import CHANNEL
from media_jobs.webhooks import api as webhooks

log = structlog.get_logger(__name__)

PATIENCE_S = (0.2, 1.0, 3.0)  # well within a lease
NOTHING = Usage(requests=0)
CANCELLED = "client_cancelled"
CANCELLED_STATUS = 499  # nobody asks for it any more (nginx's number for it)


def complete(
    job: Job,
    offered: Offered,
    delivered: Delivered,
    attempts: Sequence[Attempt],
    dropped: Sequence[str] = (),
) -> None:
    """The pictures are there: keep them, charge for as many. Raises: Superseded.

    What is made is worth some patience with a wallet that is locked, or a database away.
    """
    for pause_s in PATIENCE_S:
        try:
            _complete(job, offered, delivered, attempts, dropped)
        except (BillingUnavailable, OperationalError) as error:
            log.warning("job.not_completed", job=job.public_id, error=type(error).__name__)
            time.sleep(pause_s)
        else:
            return
    _complete(job, offered, delivered, attempts, dropped)


def _complete(
    job: Job,
    offered: Offered,
    delivered: Delivered,
    attempts: Sequence[Attempt],
    dropped: Sequence[str],
) -> None:
    made = delivered.images[: job.count]
    told = msgspec.structs.replace(delivered.usage, images=len(made))
    usage = with_tokens(told, offered.price, offered.variant)
    cost = charge(usage, offered.price, job.hold_nano, offered.variant)
    with transaction.atomic():
        # Ours for certain before files are written; the wallet is locked last, and briefly.
        if not leases.mine(job, State.COMPLETED).select_for_update().exists():
            raise Superseded(f"{job.public_id} is no longer held by fence {job.fence}.")
        leases.change(
            job,
            State.COMPLETED,
            **_over(attempts),
            model=offered.model.id,
            provider=offered.offer.provider.name,
            is_async=offered.driver.is_async,
            results=[_kept(job, each) for each in made],
            dropped=list(dropped),
            cost_nano=cost.cost,
            progress=1.0,
        )
        _finish(job)
        settle_hold(
            _settlement(
                job,
                offered.price,
                attempts,
                outcome=Outcome.CAPTURED if len(made) == job.count else Outcome.PARTIAL,
                usage=usage,
                source=UsageSource.PROVIDER if usage is told else UsageSource.HEURISTIC,
                charge=cost,
                model=offered.model.id,
                provider=offered.offer.provider.name,
                status="ok",
                http_status=200,
                variant=offered.variant,
                bytes_out=sum(len(each.data) for each in made),
                provider_request_id=delivered.request_id,
            )
        )
    _tell(job, State.COMPLETED, offered.offer.provider.name)


def fail(job: Job, price: PriceVersion, error: GatewayError, attempts: Sequence[Attempt]) -> None:
    """There will be no pictures: the hold goes back. Raises: Superseded."""
    error.details.setdefault("attempts", attempts_detail(attempts))
    with transaction.atomic():
        told = {**error.body()["error"], "status": error.status}
        leases.change(job, State.FAILED, **_over(attempts), error=told)
        _finish(job)
        settle_hold(
            _settlement(
                job, price, attempts, status=_status(error), error=error, http_status=error.status
            )
        )
    _tell(job, State.FAILED, job.provider, error=error.code)


def cancel(job: Job, price: PriceVersion) -> None:
    """The customer gave it up before anything was delivered: the hold goes back.

    Raises: Superseded.
    """
    attempts = msgspec.convert(job.attempts, list[Attempt])
    with transaction.atomic():
        leases.change(job, State.CANCELLED, **_over(attempts))
        _finish(job)
        settle_hold(
            _settlement(job, price, attempts, status=CANCELLED, http_status=CANCELLED_STATUS)
        )
    _tell(job, State.CANCELLED, job.provider)


def publish(job: Job) -> None:
    """Wake those who wait for news of the job."""
    valkey.publish(CHANNEL, job.pk.hex)


def hold_of(job: Job) -> Hold:
    return Hold(
        request_id=job.pk,
        organization_id=job.organization_id,
        key_id=job.key_id,
        amount=job.hold_nano,
        price_version=job.hold_price_version,
    )


def _over(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What is true of every ended job."""
    return {
        "attempts": msgspec.to_builtins(list(attempts)),
        "owner": "",
        "lease_until": None,
        "queued_until": None,
        "started": None,
        "finished_at": Now(),
    }


def _kept(job: Job, made: Made) -> dict[str, Any]:
    """A picture in storage, as `results` has it."""
    kept = keep(
        made.data,
        media_type=made.media_type,
        organization_id=job.organization_id,
        request_id=job.pk,
    )
    return {
        "name": kept.name,
        "media_type": made.media_type,
        "bytes": kept.bytes,
        "expires_at": int(kept.expires_at.timestamp()),
        "revised_prompt": made.revised_prompt,
        "seed": made.seed,
    }


def _finish(job: Job) -> None:
    """Within the transaction of the end: no input is left, and the webhook is on its way.

    With its commit the job's place is free, and whose turn it is gets it.
    """
    sealed.delete(job.pk)
    job.refresh_from_db()
    if job.webhook_url:
        webhooks.enqueue(
            organization_id=job.organization_id,
            url=job.webhook_url,
            event_id=job.public_id,
            payload=msgspec.json.encode(answers.told(job)),
        )
        transaction.on_commit(lambda: queue.send(queue.DELIVER))
    transaction.on_commit(lambda: publish(job))
    if (place := job.place) is not None:
        # Robust: it has ended; whom nobody hands the place to, the sweeper does.
        transaction.on_commit(lambda: places.hand_on(place), robust=True)


def _settlement(
    job: Job,
    price: PriceVersion,
    attempts: Sequence[Attempt],
    *,
    status: str,
    http_status: int,
    outcome: Outcome = Outcome.VOIDED,
    usage: Usage = NOTHING,
    source: UsageSource = UsageSource.NONE,
    charge: Charge | None = None,
    model: str = "",
    provider: str = "",
    error: GatewayError | None = None,
    bytes_out: int = 0,
    provider_request_id: str = "",
    variant: tuple[str, str] = ("", ""),
) -> Settlement:
    took = clock.now() - job.created_at
    latency_ms = round(took / timedelta(milliseconds=1))
    return Settlement(
        hold=hold_of(job),
        outcome=outcome,
        usage=usage,
        usage_source=source,
        price=price,
        charge=charge,
        requested_model=job.requested_models[0],
        model=model or job.model,
        provider=provider or job.provider,
        protocol=answers.PROTOCOLS[job.endpoint],
        endpoint=job.endpoint,
        stream=False,
        status=status,
        http_status=http_status,
        error_code="" if error is None else error.code,
        attempts=tuple(attempts),
        latency_ms=max(0, latency_ms),
        bytes_out=bytes_out,
        end_user=job.end_user,
        provider_request_id=provider_request_id,
        variant=variant,
    )


def _status(error: GatewayError) -> str:
    """The word of the receipt for what went wrong."""
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    match error.fault:
        case "client":
            return "rejected"
        case "upstream":
            return "upstream_error"
        case "gateway":
            return "internal_error"


def _tell(job: Job, state: State, provider: str, *, error: str = "") -> None:
    """The job's one line in the log, and its place in the figures."""
    took_s = max(0.0, (clock.now() - job.created_at).total_seconds())
    metrics.JOBS.add((state.value, provider or metrics.OTHER))
    metrics.JOB_SECONDS.observe((state.value,), took_s)
    log.info(
        "job.finished",
        job=job.public_id,
        request_id=ids.request_id(job.pk),
        state=state.value,
        provider=provider,
        error=error,
        pictures=len(job.results),
        seconds=round(took_s, 2),
    )
