"""Taking a job on: its hold, its row and its sealed input in one transaction, then a message.

If the broker is away, or the message is lost, the row is there, and the sweeper sends another.
"""

from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.types import Caller
from billing.api import place_hold
from billing.types import Admission
from ccapi.core.errors import ConcurrentRequests
from media_jobs import plan, queue, sealed
from media_jobs.models import Job
from media_jobs.plan import Offered
from media_jobs.states import OPEN
from media_jobs.types import ImageRequest

# Beyond the job's own time: the last performance, and a night of ours.
HOLD_MARGIN_S = 24 * 3600.0
WAIT_S = 5.0  # nobody knows when one of the jobs ends


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A request for pictures that has been read, checked and planned."""

    request_id: UUID
    caller: Caller
    endpoint: str
    base_url: str
    request: ImageRequest
    offers: tuple[Offered, ...]
    webhook_url: str = ""


@transaction.atomic
def accept(order: Order) -> Job:
    """Raises: the 402s, AccountSuspended, ConcurrentRequests, BillingUnavailable."""
    _check_open(order.caller, own=0)
    request, first = order.request, order.offers[0]
    job = Job(
        id=order.request_id,
        organization_id=order.caller.organization_id,
        key_id=order.caller.key_id,
        endpoint=order.endpoint,
        base_url=order.base_url,
        requested_models=list(request.models),
        operation=request.operation,
        count=request.count,
        response_format=request.response_format,
        end_user=request.user,
        webhook_url=order.webhook_url,
        plan=plan.written(order.offers),
        hold_nano=0,
        hold_price_version=first.price.id,
        is_async=first.driver.is_async,
        model=first.model.id,
        provider=first.offer.provider.name,
        queued_until=Now() + timedelta(seconds=settings.CCAPI_JOB_REQUEUE_S),
        deadline_at=Now() + timedelta(seconds=settings.CCAPI_JOB_TOTAL_S),
    )
    job.save(force_insert=True)
    sealed.store(job, request)
    # The wallet is locked last: the input may be many megabytes.
    hold = place_hold(
        Admission(
            request_id=order.request_id,
            caller=order.caller,
            endpoint=order.endpoint,
            bounds=tuple(plan.bound(each, request) for each in order.offers),
            output_is_stated=True,
            choices=request.count,
            expires_s=settings.CCAPI_JOB_TOTAL_S + HOLD_MARGIN_S,
        )
    )
    # Once more, by the wallet's lock: those that were accepted meanwhile are seen now.
    _check_open(order.caller, own=1)
    Job.objects.filter(pk=job.pk).update(
        hold_nano=hold.amount, hold_price_version=hold.price_version
    )
    job.refresh_from_db()
    transaction.on_commit(lambda: queue.enqueue(job))
    return job


def _check_open(caller: Caller, *, own: int) -> None:
    """Raises: ConcurrentRequests. `own`: how many of those that there are are this order's."""
    most = settings.CCAPI_JOBS_OPEN_MAX
    theirs = Job.objects.filter(organization_id=caller.organization_id, state__in=sorted(OPEN))
    unfinished = theirs.count() - own
    if unfinished >= most:
        raise ConcurrentRequests(
            f"This organization has {unfinished} unfinished image jobs; the most is {most}. Try"
            " again when one has ended, or cancel one.",
            details={"limit": most, "scope": "organization"},
            retry_after=WAIT_S,
        )
