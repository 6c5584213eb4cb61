"""The admin's pages for providers and their keys, models and their offers, and prices.

Keys go in and never come out. A price is added, not edited: the new version begins and the one
before ends. Rules of form are `catalog.forms`; the pages of groups
are `catalog.groups.admin`.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.forms import BaseFormSet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog import importer, prices, units, upstream_keys
from catalog.announcing import Announcing
from catalog.forms import ComponentForm, Components, PriceVersionForm, ProviderForm
from catalog.groups import admin as groups_admin  # noqa: F401 — registers its pages
from catalog.models import (
    CatalogSettings,
    Offer,
    PriceComponent,
    PriceVersion,
    Provider,
    UpstreamKey,
)
from catalog.models import Model as CatalogModel
from ccapi.core.alerts.models import Alert

if TYPE_CHECKING:
    KeyRows = admin.TabularInline[UpstreamKey, Provider]
    OfferRows = admin.TabularInline[Offer, CatalogModel]
    VersionRows = admin.TabularInline[PriceVersion, CatalogModel]
    ComponentRows = admin.TabularInline[PriceComponent, PriceVersion]
    Form = forms.ModelForm[Any]
    FormSets = Iterable[BaseFormSet[Any]]
else:  # the real classes take no type parameters
    KeyRows = OfferRows = VersionRows = ComponentRows = admin.TabularInline

# What a list of models shows of a price; the model's own page shows it all.
LISTED = ("input", "output", "output_image", "input_characters", "image")


class KeysOfProvider(KeyRows):
    """What is known of the stored keys; the keys themselves are never shown."""

    model = UpstreamKey
    extra = 0
    fields = readonly_fields = ("shown", "origin", "created_at")
    verbose_name_plural = "Stored keys"

    @admin.display(description="key")
    def shown(self, key: UpstreamKey) -> str:
        return f"…{key.last4}" if key.last4 else "(short)"

    def has_add_permission(self, *_: object) -> bool:
        return False

    def has_change_permission(self, *_: object) -> bool:
        return False


@admin.register(Provider)
class ProviderAdmin(Announcing):
    form = ProviderForm
    list_display = ("name", "display_name", "protocol", "state", "alarm", "model_count", "base_url")
    list_filter = ("enabled", "protocol", "is_fundamental")
    search_fields = ("name", "display_name", "base_url")
    inlines = (KeysOfProvider,)
    fieldsets = (
        (None, {"fields": ("name", "display_name", "description", "website", "is_fundamental")}),
        ("Address", {"fields": ("enabled", "protocol", "base_url", "auth", "query", "headers")}),
        ("Keys", {"fields": ("needs_key", "new_keys")}),
        (
            "Time limits, in seconds",
            {
                "fields": (
                    "connect_timeout_s",
                    "first_byte_timeout_s",
                    "first_byte_with_alternative_timeout_s",
                    "idle_timeout_s",
                    "total_timeout_s",
                )
            },
        ),
        ("What it grants us; 0: unknown", {"fields": ("rpm", "tpm", "concurrent")}),
        ("When the client leaves", {"fields": ("on_disconnect",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        found = super().get_queryset(request).prefetch_related("keys")
        alarms = Alert.objects.open().filter(subject=OuterRef("name"), kind__startswith="provider.")
        annotated: QuerySet[Provider] = found.annotate(
            offered=Count("offers", distinct=True), alarmed=Subquery(alarms.values("text")[:1])
        )
        return annotated

    @admin.display(description="alert")
    def alarm(self, provider: Any) -> str:  # noqa: ANN401 — annotated by get_queryset
        return provider.alarmed or ""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With what is wrong with our account there, on top of the page."""
        provider = self.get_object(request, object_id)
        if request.method == "GET" and provider is not None and (text := self.alarm(provider)):
            link = reverse("admin:alerts_alert_changelist")
            told = format_html('Alert: {} (<a href="{}">alerts</a>)', text, link)
            self.message_user(request, told, messages.WARNING)
        return super().change_view(request, object_id, form_url, extra_context)

    @admin.display(description="models", ordering="offered")
    def model_count(self, provider: Any) -> int:  # noqa: ANN401 — annotated by get_queryset
        return int(provider.offered)

    @admin.display(description="state", ordering="enabled")
    def state(self, provider: Provider) -> str:
        if not provider.enabled:
            return "disabled"
        return "enabled" if importer.is_configured(provider) else "not configured"

    def save_related(
        self,
        request: HttpRequest,
        form: "Form",
        formsets: "FormSets",
        change: bool,
    ) -> None:
        """Keys are stored once the row has its id, which they are bound to."""
        keys = form.cleaned_data["new_keys"]
        if keys:
            upstream_keys.replace(form.instance, keys, origin="admin")
        super().save_related(request, form, formsets, change)


class OffersOfModel(OfferRows):
    model = Offer
    extra = 0
    fields = ("provider", "upstream_model", "priority", "weight", "enabled", "costs")


class VersionsOfModel(VersionRows):
    model = PriceVersion
    extra = 0
    fields = readonly_fields = (
        "status",
        "effective_from",
        "effective_to",
        "told",
        "source",
        "approved_by",
    )
    verbose_name_plural = "Prices, newest first"
    show_change_link = True
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        return super().get_queryset(request).prefetch_related("components")

    @admin.display(description="dollars")
    def told(self, version: PriceVersion) -> str:
        return shown_prices(version)

    def has_add_permission(self, *_: object) -> bool:
        return False

    def has_change_permission(self, *_: object) -> bool:
        return False


@admin.register(CatalogModel)
class ModelAdmin(Announcing):
    list_display = ("catalog_id", "display_name", "type", "enabled", "price", "context_length")
    list_filter = ("enabled", "type", "provider")
    list_select_related = ("provider",)
    search_fields = ("catalog_id", "display_name")
    autocomplete_fields = ("provider",)
    inlines = (OffersOfModel, VersionsOfModel)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogModel]:
        return super().get_queryset(request).prefetch_related("price_versions__components")

    def get_readonly_fields(
        self, _request: HttpRequest, obj: CatalogModel | None = None
    ) -> tuple[str, ...]:
        return ("catalog_id", "provider", "add_price") if obj else ()

    @admin.display(description="price")
    def price(self, model: CatalogModel) -> str:
        now = timezone.now()
        for version in model.price_versions.all():
            if version.status == PriceVersion.Status.APPROVED and version.effective_from <= now:
                ends = version.effective_to
                if ends is None or ends > now:
                    return shown_prices(version, LISTED)
        return "none: cannot be called"

    @admin.display(description="new price")
    def add_price(self, model: CatalogModel) -> SafeString:
        return format_html(
            '<a href="../../../priceversion/add/?model={}">Set a new price</a>', model.pk
        )


class ComponentsOfVersion(ComponentRows):
    model = PriceComponent
    form = ComponentForm
    formset = Components
    extra = 4
    fields = ("unit", "sell_price", "cost_price", "tier_start", "variant")
    verbose_name_plural = (
        f"Prices in dollars: per million, but for {', '.join(units.EACH)}, which are each"
    )

    def get_extra(self, *_: object, **__: object) -> int:
        return 4

    def has_change_permission(self, _request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return obj is None

    def has_add_permission(self, _request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return obj is None

    def has_delete_permission(self, _request: HttpRequest, obj: PriceVersion | None = None) -> bool:
        return obj is None


@admin.register(PriceVersion)
class PriceVersionAdmin(Announcing):
    """Adding is the only change: it approves the new version and ends the one before."""

    form = PriceVersionForm
    list_display = ("model", "status", "effective_from", "effective_to", "told", "approved_by")
    list_filter = ("status", "source")
    list_select_related = ("model",)
    search_fields = ("model__catalog_id",)
    autocomplete_fields = ("model",)
    inlines = (ComponentsOfVersion,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        return super().get_queryset(request).prefetch_related("components")

    def get_fields(self, _request: HttpRequest, obj: PriceVersion | None = None) -> tuple[str, ...]:
        known = ("status", "effective_to", "approved_by", "created_at") if obj else ()
        return ("model", "effective_from", "source", *known)

    def has_change_permission(self, *_: object) -> bool:
        return False

    def has_delete_permission(self, *_: object) -> bool:
        return False

    @admin.display(description="dollars")
    def told(self, version: PriceVersion) -> str:
        return shown_prices(version)

    def save_related(
        self,
        request: HttpRequest,
        form: "Form",
        formsets: "FormSets",
        change: bool,
    ) -> None:
        super().save_related(request, form, formsets, change)
        prices.adopt(form.instance, actor=str(request.user))


@admin.register(CatalogSettings)
class CatalogSettingsAdmin(Announcing):
    """The one row. The markup is moved by an import, which moves the seeded prices with it."""

    list_display = ("__str__", "markup", "default_rpm", "default_tpm", "default_concurrent")
    readonly_fields = ("markup",)
    fields = ("markup", "default_rpm", "default_tpm", "default_concurrent")

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return not CatalogSettings.objects.exists()

    def has_delete_permission(self, *_: object) -> bool:
        return False


def shown_prices(version: PriceVersion, only: Collection[str] = ()) -> str:
    """`input 0.15, output 0.60`: the base prices, of the named units only if there are any."""
    return ", ".join(
        f"{row.unit} {units.written(row.sell_price)}"
        for row in version.components.all()
        if not row.tier_start and not row.variant and (not only or row.unit in only)
    )
