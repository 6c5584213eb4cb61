"""Deliveries, secrets and disabled URLs as one organization sees them over the API.

Only a key that manages keys sees or changes any of it: the secret signs in our name, and a body of
a delivery is whatever any key of the organization ordered. Another organization's does not exist.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.api import check_manages, lock_for_change
from accounts.types import Caller
from ccapi.core.errors import DeliveryNotFound, InvalidParameter, InvalidRequest, NotFound
from media_jobs.webhooks import signing
from media_jobs.webhooks.models import PREFIX, Delivery, DisabledUrl, Secret, parse

SHOWN = 64  # characters of a customer's text that an error repeats
URL_PREFIX = "url_"
DISABLED_MAX = 1000  # listed


def secret(caller: Caller) -> tuple[Secret, str]:
    """Raises: Forbidden."""
    check_manages(caller)
    return signing.secret_of(caller.organization_id)


@transaction.atomic
def rotate(caller: Caller, *, overlap_s: int) -> tuple[Secret, str]:
    """Raises: Forbidden."""
    lock_for_change(caller)
    signing.secret_of(caller.organization_id)
    return signing.rotate(caller.organization_id, overlap_s=overlap_s)


def page(
    caller: Caller, *, limit: int, after: str | None, state: str | None, event: str | None
) -> tuple[list[Delivery], str | None]:
    """Deliveries, newest first, and the id to go on after. Raises: Forbidden, InvalidParameter."""
    found = _own(caller)
    if after is not None:
        last = parse(after, PREFIX)
        if last is None:
            raise InvalidParameter(
                "cursor: this is none of ours. Send the next_cursor of the page before.",
                param="cursor",
            )
        found = found.filter(pk__lt=last)
    if state is not None:
        found = found.filter(state=state)
    if event is not None:
        found = found.filter(event_id=event)
    rows = list(found.order_by("-pk")[: limit + 1])
    return rows[:limit], rows[limit - 1].public_id if len(rows) > limit else None


def find(caller: Caller, delivery: str) -> Delivery:
    """Raises: Forbidden, DeliveryNotFound."""
    pk = parse(delivery, PREFIX)
    row = _own(caller).filter(pk=pk).first() if pk else None
    if row is None:
        raise DeliveryNotFound(f"There is no delivery {delivery[:SHOWN]!r}.")
    return row


@transaction.atomic
def replay(caller: Caller, delivery: str) -> Delivery:
    """Send it once more, now, with the whole schedule before it.

    Raises: Forbidden, DeliveryNotFound, InvalidRequest.
    """
    return send_again(find(caller, delivery))


@transaction.atomic
def send_again(delivery: Delivery) -> Delivery:
    """Raises: InvalidRequest."""
    row = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    if row.payload is None:
        raise InvalidRequest(
            f"The body of {row.public_id} is kept no longer: it is for a day after the end."
        )
    if DisabledUrl.objects.filter(organization=row.organization_id, url=row.url).exists():
        raise InvalidRequest(
            "Its URL is disabled, since it answered 410. See GET /webhooks/disabled; DELETE there "
            "lets it have webhooks again."
        )
    if row.leased_until is None:  # else an attempt is under way
        row.due_at = Now()
    row.state, row.turn, row.finished_at = Delivery.State.PENDING, 0, None
    row.save(update_fields=["due_at", "state", "turn", "finished_at"])
    row.refresh_from_db()
    return row


def disabled(caller: Caller) -> list[DisabledUrl]:
    """Newest first. Raises: Forbidden."""
    check_manages(caller)
    own = DisabledUrl.objects.filter(organization=caller.organization_id)
    return list(own.order_by("-pk")[:DISABLED_MAX])


def enable(caller: Caller, url: str) -> DisabledUrl:
    """Let a URL have webhooks again; those it has missed are replayed one by one.

    Raises: Forbidden, NotFound.
    """
    check_manages(caller)
    pk = parse(url, URL_PREFIX)
    own = DisabledUrl.objects.filter(organization=caller.organization_id)
    row = own.filter(pk=pk).first() if pk else None
    if row is None:
        raise NotFound(f"There is no disabled URL {url[:SHOWN]!r}. See GET /webhooks/disabled.")
    DisabledUrl.objects.filter(pk=row.pk).delete()
    return row


def _own(caller: Caller) -> QuerySet[Delivery]:
    """The only way to a delivery here. Raises: Forbidden."""
    check_manages(caller)
    return Delivery.objects.filter(organization=caller.organization_id)
