"""The journal: every movement of money as a debit and a credit of one positive amount. Append-only.

The view `ledger_entry` shows each transfer as two signed rows.
"""

from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint
from django.db.models.functions import Now


class LedgerAccount(models.Model):
    """One account, by path: `wallet:{organization}`, `income:usage`, `expense:promo` and more.

    Only wallets have a stored balance (`Wallet.posted_nano`); others are summed when asked.
    """

    class Kind(models.IntegerChoices):
        ASSET = 1
        LIABILITY = 2
        INCOME = 3
        EXPENSE = 4
        EQUITY = 5

    ledger = models.SmallIntegerField(db_default=1)  # one a currency; 1: US dollars
    kind = models.SmallIntegerField(choices=Kind.choices)
    code = models.TextField(unique=True)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ledger_account"
        constraints = [
            CheckConstraint(name="ledger_account_kind_known", condition=Q(kind__in=[1, 2, 3, 4, 5]))
        ]

    def __str__(self) -> str:
        return self.code


class LedgerTransfer(models.Model):
    """One movement: `amount_nano` from the debit account to the credit account.

    `(ref_type, ref_id, leg)` makes a movement happen once, whatever is retried. The accounts have
    no foreign keys: each would lock the one row of `income:usage` in every settlement (the audit
    checks).
    """

    class RefType(models.IntegerChoices):
        USAGE = 1  # ref_id: the request; leg 0 what was captured, leg 1 what the hold did not cover
        LATE = 2  # ref_id: the request, whose hold had expired before its usage came
        GRANT = 3  # ref_id: the grant

    class Code(models.IntegerChoices):
        CAPTURE = 1
        OVERAGE = 2
        LATE_CAPTURE = 3
        CREDIT = 4

    txn_id = models.UUIDField()  # groups the legs of one event
    ledger = models.SmallIntegerField(db_default=1)
    debit_account = models.ForeignKey(
        "billing.LedgerAccount",
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        db_column="debit_account",
        related_name="debits",
    )
    credit_account = models.ForeignKey(
        "billing.LedgerAccount",
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        db_column="credit_account",
        related_name="credits",
    )
    amount_nano = models.BigIntegerField()
    code = models.SmallIntegerField(choices=Code.choices)
    organization_id = models.BigIntegerField()
    ref_type = models.SmallIntegerField(choices=RefType.choices)
    ref_id = models.TextField()
    leg = models.SmallIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    meta = models.JSONField(db_default={})

    class Meta:
        db_table = "ledger_transfer"
        constraints = [
            CheckConstraint(name="ledger_transfer_positive", condition=Q(amount_nano__gt=0)),
            CheckConstraint(
                name="ledger_transfer_between_two",
                condition=~Q(debit_account=F("credit_account")),
            ),
            UniqueConstraint(name="ledger_transfer_once", fields=["ref_type", "ref_id", "leg"]),
        ]
        indexes = [
            models.Index(name="ledger_transfer_debit", fields=["debit_account", "id"]),
            models.Index(name="ledger_transfer_credit", fields=["credit_account", "id"]),
            models.Index(name="ledger_transfer_org", fields=["organization_id", "id"]),
        ]

    def __str__(self) -> str:
        return f"transfer {self.pk}"
