"""The admin's pages for people, organizations, memberships and API keys.

Keys and organizations are never deleted here: receipts point at them. A key is revoked, an
organization suspended or closed. A new key's secret stands in the answer that made it, once; no
page shows a secret or a MAC.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts import callers, defaults, keys
from accounts.models import ApiKey, Membership, Organization, User

if TYPE_CHECKING:
    Users = DjangoUserAdmin[User]
    Organizations = admin.ModelAdmin[Organization]
    Memberships = admin.ModelAdmin[Membership]
    ApiKeys = admin.ModelAdmin[ApiKey]
    MembershipRows = admin.TabularInline[Membership, Organization]
    UserRows = admin.TabularInline[Membership, User]
    CreationForm = AdminUserCreationForm[User]
else:  # the real classes take no type parameters
    Users = DjangoUserAdmin
    Organizations = Memberships = ApiKeys = admin.ModelAdmin
    MembershipRows = UserRows = admin.TabularInline
    CreationForm = AdminUserCreationForm

LIMITS = ("rpm", "tpm", "concurrent")

admin.site.site_header = admin.site.site_title = "CCAPI"
admin.site.index_title = "Operations"


class NewUserForm(CreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


class OrganizationsOfUser(UserRows):
    model = Membership
    extra = 0
    autocomplete_fields = ("organization",)


class MembersOfOrganization(MembershipRows):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(User)
class UserAdmin(Users):
    add_form = NewUserForm
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "name", "organizations__name", "organizations__public_id")
    ordering = ("email",)
    readonly_fields = ("last_login", "created_at")
    inlines = (OrganizationsOfUser,)
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )
    filter_horizontal = ("groups",)


@admin.register(Organization)
class OrganizationAdmin(Organizations):
    list_display = ("name", "public_id", "status", "member_count", "key_count", "created_at")
    list_filter = ("status", "created_at")
    search_fields = ("name", "public_id", "users__email")
    ordering = ("name", "id")  # counting members groups, and grouping loses the model's order
    readonly_fields = ("public_id", "created_at", "usage")
    fields = ("name", "public_id", "status", "timezone", *LIMITS, "created_at", "usage")
    inlines = (MembersOfOrganization,)
    actions = ("suspend", "reactivate")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                members=Count("memberships", distinct=True),
                live_keys=Count("keys", filter=Q(keys__revoked_at=None), distinct=True),
            )
        )

    @admin.display(description="members", ordering="members")
    def member_count(self, organization: Any) -> int:  # noqa: ANN401 — annotated by get_queryset
        return int(organization.members)

    @admin.display(description="keys", ordering="live_keys")
    def key_count(self, organization: Any) -> int:  # noqa: ANN401 — annotated by get_queryset
        return int(organization.live_keys)

    @admin.display(description="usage")
    def usage(self, organization: Organization) -> str:
        """Its requests: a page of the app above, known by its address alone."""
        if organization._state.adding:
            return "-"
        address = reverse("admin:billing_usageevent_changelist")
        return format_html('<a href="{}?q={}">Requests</a>', address, organization.pk)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A new organization begins with the platform's limits."""
        limits = msgspec.structs.asdict(defaults.default_limits())
        return {**limits, **super().get_changeform_initial_data(request)}

    def save_model(
        self,
        request: HttpRequest,
        obj: Organization,
        form: "forms.ModelForm[Organization]",
        change: bool,
    ) -> None:
        super().save_model(request, obj, form, change)
        callers.announce()

    def has_delete_permission(self, *_: object) -> bool:
        return False

    @admin.action(description="Suspend: refuse every key", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Organization]) -> None:
        self._set_status(request, queryset, Organization.Status.SUSPENDED)

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[Organization]) -> None:
        self._set_status(request, queryset, Organization.Status.ACTIVE)

    def _set_status(
        self, request: HttpRequest, queryset: QuerySet[Organization], status: str
    ) -> None:
        chosen = list(queryset)
        for organization in chosen:
            organization.status = status
            organization.save(update_fields=["status"])
            self.log_change(request, organization, f"Status set to {status}.")
        callers.announce()
        self.message_user(request, f"{len(chosen)} set to {status}.", messages.SUCCESS)


@admin.register(Membership)
class MembershipAdmin(Memberships):
    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "organization__name", "organization__public_id")
    autocomplete_fields = ("user", "organization")


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, *_: object) -> list[tuple[str, str]]:
        return [("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        expired = Q(revoked_at=None, expires_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.filter(revoked_at=None).exclude(expired)
            case "expired":
                return queryset.filter(expired)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ApiKeys):
    list_display = (
        "name",
        "organization",
        "shown",
        "state",
        "models",
        "manages_keys",
        "last_used_at",
        "created_at",
    )
    list_filter = (StateFilter, "manages_keys", "created_at")
    list_select_related = ("organization",)
    search_fields = ("name", "public_id", "prefix", "last4", "organization__name")
    autocomplete_fields = ("organization",)
    formfield_overrides: ClassVar = {ArrayField: {"widget": AdminTextInputWidget}}
    actions = ("revoke",)
    _known: ClassVar[tuple[str, ...]] = (
        "public_id",
        "shown",
        "state",
        "created_by",
        "created_at",
        "last_used_at",
        "old_mac_until",
        "revoked_at",
    )

    def get_fields(
        self, _request: HttpRequest, obj: ApiKey | None = None
    ) -> list[str | list[str] | tuple[str, ...]]:
        return [
            "organization",
            "name",
            "allowed_models",
            "allowed_ips",
            *LIMITS,
            "manages_keys",
            "expires_at",
            *(self._known if obj else ()),
        ]

    def get_readonly_fields(
        self, _request: HttpRequest, obj: ApiKey | None = None
    ) -> tuple[str, ...]:
        return ("organization", *self._known) if obj else ()

    @admin.display(description="key", ordering="prefix")
    def shown(self, key: ApiKey) -> str:
        return f"{keys.PREFIX}{key.prefix}…{key.last4}"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "active"

    @admin.display(description="models")
    def models(self, key: ApiKey) -> str:
        return ", ".join(key.allowed_models) or "all"

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: "forms.ModelForm[ApiKey]", change: bool
    ) -> None:
        if not change:
            secret = keys.make()
            obj.prefix, obj.last4 = secret.prefix, secret.last4
            obj.mac = keys.mac(secret.text, settings.CCAPI_KEY_PEPPER)
            if isinstance(request.user, User):
                obj.created_by = request.user
            # Lives until the answer to this very request is rendered, in `response_add`.
            request.ccapi_new_secret = secret  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)
        callers.announce()

    def response_add(
        self, request: HttpRequest, obj: ApiKey, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in this answer: a message would carry it through a cookie."""
        secret: keys.Secret = request.ccapi_new_secret  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": "The new API key",
            "opts": self.opts,
            "key": obj,
            "secret": secret.text,
        }
        response = TemplateResponse(request, "admin/accounts/apikey/made.html", context)
        response.headers["cache-control"] = "no-store"
        return response

    def has_delete_permission(self, *_: object) -> bool:
        return False

    @admin.action(description="Revoke: refuse within a second, for good", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        chosen = list(queryset.filter(revoked_at=None))
        queryset.filter(revoked_at=None).update(revoked_at=Now())
        for key in chosen:
            self.log_change(request, key, "Revoked.")
        callers.announce()
        self.message_user(request, f"{len(chosen)} revoked.", messages.SUCCESS)
