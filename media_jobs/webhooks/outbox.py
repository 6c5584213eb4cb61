"""Rows of deliveries: put there, claimed, and closed. Nothing here waits for the network."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from ccapi.core import sealing
from ccapi.core.ids import uuid7
from media_jobs.webhooks import schedule
from media_jobs.webhooks.models import Attempt, Delivery, DisabledUrl

LABEL = b"ccapi/webhooks/payload/v1"
# Longer than a call may take: what is claimed longer ago is nobody's.
LEASE_S = 60.0
PER_ORGANIZATION = 4  # at once: one customer's slow receivers are nobody else's

# Of each organization the first few that are due, less those that are under way. A lease that has
# ended counts as none; a row that is leased is not due.
CLAIM = """
WITH clock AS (
  SELECT statement_timestamp() AS now
), busy AS (
  SELECT organization_id, count(*) AS count FROM webhook_delivery, clock
  WHERE state = 'pending' AND leased_until > now GROUP BY organization_id
), waiting AS (
  SELECT DISTINCT organization_id FROM webhook_delivery, clock
  WHERE state = 'pending' AND due_at <= now
), chosen AS (
  SELECT first.id FROM waiting LEFT JOIN busy USING (organization_id)
  CROSS JOIN LATERAL (
    SELECT id, due_at FROM webhook_delivery d, clock
    WHERE d.organization_id = waiting.organization_id AND state = 'pending' AND due_at <= now
    ORDER BY due_at LIMIT greatest(0, %(each)s - coalesce(busy.count, 0))
  ) first ORDER BY first.due_at LIMIT %(limit)s
), locked AS (
  SELECT id FROM webhook_delivery
  WHERE id IN (SELECT id FROM chosen) AND state = 'pending' AND due_at <= statement_timestamp()
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhook_delivery d SET fence = d.fence + 1,
  due_at = now + make_interval(secs => %(lease)s),
  leased_until = now + make_interval(secs => %(lease)s)
FROM locked, clock WHERE d.id = locked.id
RETURNING d.id, d.organization_id, d.event_id, d.url, d.payload, d.fence, clock_timestamp()
"""


class Claimed(NamedTuple):
    """A delivery that is ours until its lease ends."""

    id: UUID
    organization_id: int
    event_id: str
    url: str
    payload: bytes
    fence: int
    now: datetime  # by the database's clock


class Outcome(NamedTuple):
    """What came of one POST. `status` is None, and `error` says why, where nothing came back."""

    at: datetime
    duration_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: str = ""

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def enqueue(*, organization_id: int, url: str, event_id: str, payload: bytes) -> None:
    """Put an event on its way, in the caller's transaction. The same one again changes nothing."""
    row = Delivery(id=uuid7(), organization_id=organization_id, event_id=event_id, url=url)
    row.payload = sealing.seal(payload, _place(row.id, organization_id), label=LABEL)
    if DisabledUrl.objects.filter(organization=organization_id, url=url).exists():
        row.state, row.last_error = Delivery.State.DISABLED, "the URL is disabled: it answered 410"
        row.finished_at = Now()
    Delivery.objects.bulk_create([row], ignore_conflicts=True)


def claim(limit: int) -> list[Claimed]:
    """At most so many of those that are due, for `LEASE_S`. Commits at once."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"each": PER_ORGANIZATION, "limit": limit, "lease": LEASE_S})
        rows = cursor.fetchall()
    return [
        Claimed(pk, organization, event, url, opened(pk, organization, payload), fence, now)
        for pk, organization, event, url, payload, fence, now in rows
    ]


@transaction.atomic
def close(claimed: Claimed, outcome: Outcome) -> Delivery:
    """Write down what came of an attempt, and what is next."""
    row = Delivery.objects.select_for_update(no_key=True).get(pk=claimed.id)
    Attempt.objects.create(
        delivery=row,
        number=row.attempts_count + 1,
        at=outcome.at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        error=outcome.error,
        answer=outcome.answer,
    )
    row.attempts_count += 1
    if row.fence == claimed.fence and row.state == Delivery.State.PENDING:
        _decide(row, outcome)
    row.save()
    return row


def opened(pk: UUID, organization_id: int, payload: bytes) -> bytes:
    return sealing.unseal(bytes(payload), _place(pk, organization_id), label=LABEL)


def _decide(row: Delivery, outcome: Outcome) -> None:
    """The state after an attempt of ours."""
    row.leased_until = None
    row.last_status, row.last_error = outcome.status, outcome.error
    row.turn += 1
    pause = schedule.pause_s(settings.CCAPI_WEBHOOK_SCHEDULE_S, row.turn)
    if outcome.is_good:
        row.state = Delivery.State.DELIVERED
    elif outcome.status == 410:
        row.state, row.last_error = Delivery.State.DISABLED, "410: the URL wants no more"
        _disable(row)
    elif pause is None:
        row.state = Delivery.State.FAILED
    else:
        asked = schedule.asked_s(outcome.retry_after, now=outcome.at)
        row.due_at = Now() + timedelta(seconds=max(pause, asked))
        return
    row.finished_at = Now()


def _disable(row: Delivery) -> None:
    """Nothing more goes there: neither what else waits, nor what will be enqueued."""
    disabled = DisabledUrl(organization_id=row.organization_id, url=row.url)
    DisabledUrl.objects.bulk_create([disabled], ignore_conflicts=True)
    Delivery.objects.exclude(pk=row.pk).filter(
        Q(leased_until=None) | Q(leased_until__lte=Now()),
        organization=row.organization_id,
        url=row.url,
        state=Delivery.State.PENDING,
    ).update(
        state=Delivery.State.DISABLED,
        last_error="the URL is disabled: it answered 410",
        finished_at=Now(),
        fence=F("fence") + 1,
    )


def _place(pk: UUID, organization_id: int) -> bytes:
    return sealing.place("webhook_delivery", pk, "payload", organization_id)
