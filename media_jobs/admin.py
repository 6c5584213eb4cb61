"""Jobs in the admin, to look at: how each stands, who was asked, what it cost. Nothing is edited.

A job that has failed is not sent again from here: its hold has gone back, and its input is deleted.
"""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ccapi.core import ids
from ccapi.core.money import dollars
from ccapi.core.read_only import ReadOnly
from media_jobs.models import Job

if TYPE_CHECKING:
    Jobs = admin.ModelAdmin[Job]
else:  # the real class takes no type parameters
    Jobs = admin.ModelAdmin


@admin.register(Job)
class JobAdmin(ReadOnly, Jobs):
    list_display = (
        *("public_id", "state", "organization", "model", "provider", "count"),
        *("cost", "tries", "created_at", "finished_at"),
    )
    list_filter = ("state", "provider", "endpoint")
    list_select_related = ("organization",)
    list_per_page = 50
    show_full_result_count = False
    ordering = ("-id",)
    search_fields = ("organization__public_id",)
    search_help_text = "job_…, or an organization's org_…"
    fields = (
        *("public_id", "state", "organization", "key", "endpoint", "operation"),
        *("requested_models", "count", "model", "provider", "is_async"),
        *("attempts", "tries", "polls", "owner", "lease_until", "fence", "due_at"),
        *("deadline_at", "progress", "estimated_s", "cancel_requested_at", "error", "pictures"),
        *("hold", "cost", "receipt", "webhook_url", "created_at", "changed_at", "finished_at"),
    )
    readonly_fields = fields

    @admin.display(description="Hold")
    def hold(self, job: Job) -> str:
        return f"${dollars(job.hold_nano)}"

    @admin.display(description="Cost")
    def cost(self, job: Job) -> str:
        return "" if job.cost_nano is None else f"${dollars(job.cost_nano)}"

    @admin.display(description="Pictures")
    def pictures(self, job: Job) -> str:
        return f"{len(job.results)} of {job.count}"

    @admin.display(description="Charge")
    def receipt(self, job: Job) -> str | SafeString:
        text = ids.generation_id(job.pk)
        try:
            page = reverse("admin:billing_settlement_change", args=[job.pk])
        except NoReverseMatch:
            return text
        return format_html('<a href="{}">{}</a>', page, text) if job.is_over else text

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        found = ids.parse_job_id(search_term.strip())
        if found is not None:
            return queryset.filter(pk=found), False
        return super().get_search_results(request, queryset, search_term)
