"""Webhooks in the admin: to look at, and to send again. Bodies and secrets are not shown."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from ccapi.core.errors import InvalidRequest
from ccapi.core.read_only import ReadOnly
from media_jobs.webhooks.customers import send_again
from media_jobs.webhooks.models import PREFIX, Attempt, Delivery, DisabledUrl, parse

if TYPE_CHECKING:
    AttemptRows = admin.TabularInline[Attempt, Delivery]
    DeliveryPage = admin.ModelAdmin[Delivery]
    UrlPage = admin.ModelAdmin[DisabledUrl]
else:  # the real classes take no type parameters
    AttemptRows = admin.TabularInline
    DeliveryPage = UrlPage = admin.ModelAdmin


class Attempts(AttemptRows):
    model = Attempt
    fields = ("number", "at", "status", "error", "duration_ms", "answer")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:  # noqa: ANN401 — Django's
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:  # noqa: ANN401 — Django's
        return False


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, DeliveryPage):
    list_display = (
        *("public_id", "event_id", "organization", "state", "attempts_count", "last_status"),
        *("created_at", "due_at", "finished_at"),
    )
    list_filter = ("state", "last_status")
    list_select_related = ("organization",)
    show_full_result_count = False
    ordering = ("-id",)
    search_fields = ("=event_id", "organization__public_id")
    search_help_text = "dlv_…, an event's id (job_…), or an organization's org_…"
    fields = (
        *("public_id", "organization", "event_id", "url", "state", "attempts_count", "turn"),
        *("last_status", "last_error", "created_at", "due_at", "leased_until", "finished_at"),
    )
    readonly_fields = fields
    inlines = (Attempts,)
    actions = ("replay",)

    @admin.action(description="Send again", permissions=["replay"])
    def replay(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        count = 0
        for delivery in deliveries:
            try:
                send_again(delivery)
                count += 1
            except InvalidRequest as error:
                self.message_user(request, f"{delivery}: {error.message}", messages.WARNING)
        self.message_user(request, f"On their way again: {count}.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        found = parse(search_term.strip(), PREFIX)
        if found is not None:
            return queryset.filter(pk=found), False
        return super().get_search_results(request, queryset, search_term)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webhooks.change_delivery")


@admin.register(DisabledUrl)
class DisabledUrlAdmin(UrlPage):
    """Deleting one lets it have webhooks again."""

    list_display = ("url", "organization", "created_at")
    list_select_related = ("organization",)
    search_fields = ("url", "organization__public_id")
    readonly_fields = ("url", "organization", "created_at")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: DisabledUrl | None = None) -> bool:
        return False
