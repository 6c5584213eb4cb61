"""The one balance row of an organization, and the money set aside in it, in nano-dollars."""

from django.db import models
from django.db.models import CheckConstraint, F, Q
from django.db.models.functions import Now


class Wallet(models.Model):
    """The prepaid balance; a trigger makes one with each organization.

    `posted` is credits minus captures (the journal's sum), `held` the sum of the open holds;
    `available = posted - held + credit limit` is what the next hold may take.
    """

    class Status(models.IntegerChoices):
        ACTIVE = 1
        SUSPENDED = 2

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.PROTECT, primary_key=True, related_name="wallet"
    )
    account = models.OneToOneField(
        "billing.LedgerAccount", on_delete=models.PROTECT, related_name="wallet"
    )
    posted_nano = models.BigIntegerField(db_default=0)
    held_nano = models.BigIntegerField(db_default=0)
    credit_limit_nano = models.BigIntegerField(db_default=0)  # 0 for prepaid
    status = models.SmallIntegerField(choices=Status.choices, db_default=Status.ACTIVE)
    version = models.BigIntegerField(db_default=0)  # counts the batches that changed this row

    class Meta:
        db_table = "wallet"
        constraints = [
            CheckConstraint(name="wallet_held_not_negative", condition=Q(held_nano__gte=0)),
            CheckConstraint(
                name="wallet_credit_limit_not_negative", condition=Q(credit_limit_nano__gte=0)
            ),
            CheckConstraint(
                name="wallet_never_overdrawn",
                condition=Q(posted_nano__gte=F("held_nano") - F("credit_limit_nano")),
            ),
            CheckConstraint(name="wallet_status_known", condition=Q(status__in=[1, 2])),
        ]

    def __str__(self) -> str:
        return f"wallet of {self.organization_id}"


class Hold(models.Model):
    """An open hold. Resolving it deletes the row, so the table stays as small as the traffic."""

    request_id = models.UUIDField(primary_key=True)
    wallet = models.ForeignKey(
        "billing.Wallet",
        on_delete=models.PROTECT,
        db_column="organization_id",
        db_index=False,
        related_name="holds",
    )
    key_id = models.BigIntegerField()
    amount_nano = models.BigIntegerField()
    price_version_id = models.BigIntegerField()  # of the dearest candidate
    model = models.TextField()
    endpoint = models.TextField()
    owner = models.TextField()  # the process that will resolve it
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()  # by the database's clock, moved on by heartbeats

    class Meta:
        db_table = "hold"
        constraints = [
            CheckConstraint(name="hold_amount_not_negative", condition=Q(amount_nano__gte=0))
        ]
        indexes = [models.Index(name="hold_expiry", fields=["expires_at"])]

    def __str__(self) -> str:
        return f"hold {self.request_id}"
