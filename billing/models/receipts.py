"""How each request was resolved and what its receipt says. Append-only, partitioned by month.

Both tables are keyed and partitioned by the request's UUIDv7, which is ordered by time.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CheckConstraint, F, Q
from django.db.models.functions import Now

from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE

QUANTITIES = (*INPUT_SIDE, *OUTPUT_SIDE, "requests", "web_searches", "images", "characters")
MEDIA = ("images", "characters")  # came later, with a constraint of their own


class Settlement(models.Model):
    """Exactly one per request that ever held."""

    class Outcome(models.IntegerChoices):
        CAPTURED = 1
        VOIDED = 2
        EXPIRED = 3
        ESTIMATED = 4
        PARTIAL = 5

    request_id = models.UUIDField(primary_key=True)
    organization_id = models.BigIntegerField()
    outcome = models.SmallIntegerField(choices=Outcome.choices)
    hold_nano = models.BigIntegerField()
    charge_nano = models.BigIntegerField()
    captured_nano = models.BigIntegerField()
    overage_nano = models.BigIntegerField()
    # PostgreSQL had forgotten the hold (a crash): captured from what was available.
    without_hold = models.BooleanField(db_default=False)
    settled_at = models.DateTimeField(db_default=Now())
    settled_by = models.TextField()

    class Meta:
        db_table = "settlement"
        constraints = [
            CheckConstraint(
                name="settlement_split",
                condition=Q(charge_nano=F("captured_nano") + F("overage_nano")),
            ),
            CheckConstraint(
                name="settlement_amounts",
                condition=Q(captured_nano__gte=0, overage_nano__gte=0, hold_nano__gte=0)
                & Q(captured_nano__lte=F("hold_nano")),
            ),
            CheckConstraint(
                name="settlement_outcome_known", condition=Q(outcome__in=[1, 2, 3, 4, 5])
            ),
        ]

    def __str__(self) -> str:
        return f"settlement {self.request_id}"


class UsageEvent(models.Model):
    """One request: what was used, at which prices, who served it. Never a prompt."""

    request_id = models.UUIDField(primary_key=True)
    organization_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    end_user = models.TextField(db_default="")

    endpoint = models.TextField()
    protocol = models.TextField(db_default="")
    requested_model = models.TextField()
    model = models.TextField()
    provider = models.TextField(db_default="")
    provider_request_id = models.TextField(db_default="")
    stream = models.BooleanField(db_default=False)
    attempts = models.JSONField(db_default=[])

    # Disjoint buckets, as in ccapi.core.usage; the two totals are their sums.
    input = models.BigIntegerField(db_default=0)
    cache_read = models.BigIntegerField(db_default=0)
    cache_write = models.BigIntegerField(db_default=0)
    cache_write_1h = models.BigIntegerField(db_default=0)
    input_audio = models.BigIntegerField(db_default=0)
    input_image = models.BigIntegerField(db_default=0)
    output = models.BigIntegerField(db_default=0)
    reasoning = models.BigIntegerField(db_default=0)
    output_audio = models.BigIntegerField(db_default=0)
    output_image = models.BigIntegerField(db_default=0)
    requests = models.BigIntegerField(db_default=0)
    web_searches = models.BigIntegerField(db_default=0)
    images = models.BigIntegerField(db_default=0)
    characters = models.BigIntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    usage_source = models.SmallIntegerField()
    usage_raw = models.JSONField(null=True)  # the provider's own object, up to 8 kB

    price_version_id = models.BigIntegerField()
    price_snapshot = models.JSONField(db_default={})  # pricing.snapshot
    unpriced = ArrayField(models.TextField(), db_default=[])
    charge_nano = models.BigIntegerField()  # what was used, priced
    cost_nano = models.BigIntegerField()  # what the customer paid
    input_cost_nano = models.BigIntegerField()
    output_cost_nano = models.BigIntegerField()
    provider_cost_nano = models.BigIntegerField(null=True)

    status = models.TextField()
    http_status = models.SmallIntegerField()
    error_code = models.TextField(db_default="")
    finish_reason = models.TextField(db_default="")
    outcome = models.SmallIntegerField(choices=Settlement.Outcome.choices)
    first_byte_ms = models.IntegerField(null=True)
    latency_ms = models.IntegerField(db_default=0)
    bytes_out = models.BigIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "usage_event"
        constraints = [
            CheckConstraint(
                name="usage_event_cost_split",
                condition=Q(cost_nano=F("input_cost_nano") + F("output_cost_nano"))
                & Q(input_cost_nano__gte=0, output_cost_nano__gte=0)
                & Q(charge_nano__gte=F("cost_nano")),
            ),
            CheckConstraint(
                name="usage_event_quantities",
                condition=Q(**{f"{name}__gte": 0 for name in QUANTITIES if name not in MEDIA}),
            ),
            CheckConstraint(
                name="usage_event_media", condition=Q(**{f"{name}__gte": 0 for name in MEDIA})
            ),
        ]
        indexes = [
            models.Index(name="usage_event_org", fields=["organization_id", "request_id"]),
            models.Index(name="usage_event_key", fields=["key_id", "request_id"]),
        ]

    def __str__(self) -> str:
        return f"usage {self.request_id}"
