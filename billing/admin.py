"""Money in the admin: wallets (where credit is given, with a reason) and read-only books.

Amounts are shown in dollars and never edited: credit goes through `billing.credits.grant`.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.credits import grant
from billing.models import LedgerTransfer, Settlement, UsageEvent, Wallet
from ccapi.core.ids import generation_id, parse_generation_id
from ccapi.core.money import dollars, nano
from ccapi.core.read_only import KeptForEver, ReadOnly

if TYPE_CHECKING:
    Wallets = admin.ModelAdmin[Wallet]
    Books = admin.ModelAdmin[Any]
    WalletModelForm = forms.ModelForm[Wallet]
else:  # the real classes take no type parameters
    Wallets = Books = admin.ModelAdmin
    WalletModelForm = forms.ModelForm


class WalletForm(WalletModelForm):
    """Whether the wallet may pay, and credit to give."""

    credit = forms.CharField(
        required=False, label="Give credit", help_text="In dollars, such as 25.00."
    )
    reason = forms.CharField(
        required=False, max_length=200, help_text="Stands in the journal for ever."
    )

    class Meta:
        model = Wallet
        fields = ("status",)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("credit"):
            return cleaned
        if not cleaned.get("reason", "").strip():
            self.add_error("reason", "Credit needs a reason.")
        try:
            cleaned["credit_nano"] = nano(cleaned["credit"].strip().removeprefix("$"))
        except ValueError as error:
            self.add_error("credit", str(error))
        else:
            if cleaned["credit_nano"] <= 0:
                self.add_error("credit", "Credit must be more than 0.")
        return cleaned


class Book(ReadOnly, Books):
    """Lists do not count their rows, which may be millions."""

    show_full_result_count = False
    list_per_page = 50
    search_fields = ("organization_id",)  # shows the box; `get_search_results` does the search
    search_help_text = "gen_…, req_…, a UUID, or the number of an organization"

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdigit():
            return queryset.filter(organization_id=int(term)), False
        request_id = parse_generation_id(term) or _uuid(term)
        return (self.of_request(queryset, request_id) if request_id else queryset.none()), False

    def of_request(self, queryset: QuerySet[Any], request_id: UUID) -> QuerySet[Any]:
        return queryset.filter(request_id=request_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@admin.register(Wallet)
class WalletAdmin(KeptForEver, Wallets):
    form = WalletForm
    list_display = ("organization", "balance", "held", "available", "status")
    list_filter = ("status",)
    list_select_related = ("organization",)
    search_fields = ("organization__name", "organization__public_id")
    readonly_fields = ("organization", "balance", "held", "available")
    fields = (*readonly_fields, "status", "credit", "reason")

    @admin.display(ordering="posted_nano")
    def balance(self, wallet: Wallet) -> str:
        return f"${dollars(wallet.posted_nano)}"

    @admin.display(ordering="held_nano")
    def held(self, wallet: Wallet) -> str:
        return f"${dollars(wallet.held_nano)}"

    @admin.display
    def available(self, wallet: Wallet) -> str:
        return f"${dollars(wallet.posted_nano - wallet.held_nano + wallet.credit_limit_nano)}"

    def save_model(
        self, request: HttpRequest, obj: Wallet, form: WalletModelForm, _change: bool
    ) -> None:
        # Never obj.save(): it would write back amounts that requests have changed meanwhile.
        Wallet.objects.filter(pk=obj.pk).update(status=obj.status)
        amount = form.cleaned_data.get("credit_nano")
        if amount:
            reason, actor = form.cleaned_data["reason"], str(request.user)
            grant(obj.pk, amount, reason=reason, actor=actor)
            self.message_user(request, f"${dollars(amount)} of credit given.")


@admin.register(Settlement)
class SettlementAdmin(Book):
    list_display = ("generation", "organization_id", "outcome", "charge", "captured", "settled_at")
    list_filter = ("outcome", "settled_at", "without_hold")
    ordering = ("-request_id",)

    @admin.display(ordering="request_id")
    def generation(self, settlement: Settlement) -> str:
        return generation_id(settlement.request_id)

    @admin.display
    def charge(self, settlement: Settlement) -> str:
        return f"${dollars(settlement.charge_nano)}"

    @admin.display
    def captured(self, settlement: Settlement) -> str:
        return f"${dollars(settlement.captured_nano)}"


@admin.register(UsageEvent)
class UsageEventAdmin(Book):
    list_display = ("generation", "organization_id", "model", "provider", "status", "cost", "when")
    list_filter = ("created_at", "status", "outcome", "usage_source")
    ordering = ("-request_id",)

    @admin.display(ordering="request_id")
    def generation(self, event: UsageEvent) -> str:
        return generation_id(event.request_id)

    @admin.display
    def cost(self, event: UsageEvent) -> str:
        return f"${dollars(event.cost_nano)}"

    @admin.display(description="settled")
    def when(self, event: UsageEvent) -> object:
        return event.created_at


@admin.register(LedgerTransfer)
class LedgerTransferAdmin(Book):
    list_display = ("id", "created_at", "code", "amount", "debit_account", "credit_account")
    list_filter = ("created_at", "code")
    list_select_related = ("debit_account", "credit_account")
    ordering = ("-id",)

    @admin.display(ordering="amount_nano")
    def amount(self, transfer: LedgerTransfer) -> str:
        return f"${dollars(transfer.amount_nano)}"

    def of_request(
        self, queryset: QuerySet[LedgerTransfer], request_id: UUID
    ) -> QuerySet[LedgerTransfer]:
        return queryset.filter(ref_type__in=LedgerTransfer.RefType.values, ref_id=str(request_id))
