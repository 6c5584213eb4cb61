"""Alerts in the admin: to read, and to mark as resolved. They are made by the machinery alone."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ccapi.core.alerts.models import Alert
from ccapi.core.read_only import ReadOnly

if TYPE_CHECKING:
    Page = admin.ModelAdmin[Alert]
else:  # the real class takes no type parameters
    Page = admin.ModelAdmin


@admin.register(Alert)
class AlertAdmin(ReadOnly, Page):
    list_display = ("kind", "subject", "text", "count", "first_seen", "last_seen", "resolved_at")
    list_filter = ("kind", ("resolved_at", admin.EmptyFieldListFilter))
    search_fields = ("kind", "subject", "text")
    actions = ("resolve",)

    @admin.action(description="Mark as resolved", permissions=["resolve"])
    def resolve(self, request: HttpRequest, alerts: QuerySet[Alert]) -> None:
        count = alerts.filter(resolved_at=None).update(resolved_at=timezone.now())
        self.message_user(request, f"Resolved: {count}.")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("alerts.change_alert")
