"""Tables of webhooks: secrets, deliveries with their attempts, and URLs that want no more.

A delivery is claimed by moving `due_at` to the end of its lease: if the one who claimed it is
killed, it is due again then. `fence` grows with each claim, and only its holder writes the outcome.
"""

from uuid import UUID

from django.db import models
from django.db.models import CheckConstraint, F, Index, Q, UniqueConstraint
from django.db.models.functions import MD5, Now

from ccapi.core.ids import uuid7

PREFIX = "dlv_"


class Secret(models.Model):
    """What an organization's webhooks are signed with: one that stays, and one that ends."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="+"
    )
    ciphertext = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhook_secret"
        constraints = [
            UniqueConstraint(
                name="webhook_secret_one_stays",
                fields=["organization"],
                condition=Q(ends_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"webhook secret of {self.organization_id}"


class Delivery(models.Model):
    """One event on its way to one URL. `event_id` is its `webhook-id` in every attempt.

    `payload` is sealed, and gone a day after the end. `turn` is how far the schedule has come.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"  # the schedule is over
        DISABLED = "disabled"  # its URL wants no more

    id = models.UUIDField(primary_key=True, default=uuid7)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    event_id = models.TextField()
    url = models.TextField()
    payload = models.BinaryField(null=True)
    state = models.TextField(choices=State.choices, default=State.PENDING, db_default=State.PENDING)
    due_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0, db_default=0)
    turn = models.IntegerField(default=0, db_default=0)
    attempts_count = models.IntegerField(default=0, db_default=0)
    last_status = models.IntegerField(null=True)
    last_error = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhook_delivery"
        verbose_name_plural = "deliveries"
        constraints = [
            UniqueConstraint(
                F("organization"), F("event_id"), MD5("url"), name="webhook_delivery_once"
            ),
            CheckConstraint(
                name="webhook_delivery_ends",
                condition=Q(state="pending", finished_at__isnull=True)
                | Q(~Q(state="pending"), finished_at__isnull=False),
            ),
            CheckConstraint(
                name="webhook_delivery_payload",
                condition=~Q(state="pending") | Q(payload__isnull=False),
            ),
        ]
        indexes = [
            Index(
                fields=["organization", "due_at"],
                name="webhook_delivery_due",
                condition=Q(state="pending"),
            ),
            Index(fields=["organization", "-id"], name="webhook_delivery_newest"),
            Index(
                fields=["finished_at"],
                name="webhook_delivery_over",
                condition=Q(finished_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return PREFIX + self.id.hex

    @property
    def last_attempts(self) -> "list[Attempt]":
        """The last hundred, oldest first."""
        return list(self.attempts.order_by("-number")[:100])[::-1]


class Attempt(models.Model):
    """One POST, and what came back. `status` is null where nothing did."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()  # from 1, replays go on counting
    at = models.DateTimeField()
    duration_ms = models.IntegerField()
    status = models.IntegerField(null=True)
    error = models.TextField(db_default="")
    answer = models.TextField(db_default="")  # how the body begins

    class Meta:
        db_table = "webhook_attempt"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.number}: {self.status or self.error}"


class DisabledUrl(models.Model):
    """A URL that has answered 410: nothing more is sent there until its organization says so."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="+"
    )
    url = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "webhook_disabled_url"
        verbose_name = "disabled URL"
        constraints = [
            UniqueConstraint(F("organization"), MD5("url"), name="webhook_disabled_url_once"),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def public_id(self) -> str:
        return "url_" + self.id.hex


def parse(public_id: str, prefix: str) -> UUID | None:
    """The primary key behind `dlv_…` or `url_…`; None for anything else."""
    text = public_id.removeprefix(prefix)
    if text == public_id or len(text) != 32:
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None
