"""The catalog's tables: providers and their keys, models and their offers, effective-dated prices.

Those of groups are `catalog.groups.models`, which Django finds through this module.

Triggers (migration 0002) bump `catalog_revision` on every change and refuse to edit an approved
price.
Nothing on the chat path reads these classes: `catalog.snapshot` reads the tables once a change.
"""

from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now

from catalog.groups.models import ActiveGroup, Alias, Group
from catalog.units import UNITS
from ccapi.core.ids import uuid7
from ccapi.core.limits import Limits

__all__ = [
    "ActiveGroup",
    "Alias",
    "CatalogRevision",
    "CatalogSettings",
    "Group",
    "Model",
    "Offer",
    "PriceComponent",
    "PriceVersion",
    "Provider",
    "UpstreamKey",
]


class Provider(models.Model):
    """A place that answers models."""

    class OnDisconnect(models.TextChoices):
        CANCEL = "cancel", "cancel: it stops billing when we hang up"
        DRAIN = "drain", "drain: it bills to the end, so we read to the end"

    name = models.SlugField(max_length=64, unique=True)
    display_name = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    website = models.CharField(max_length=255, blank=True, default="")
    is_fundamental = models.BooleanField(
        default=False, help_text="Makes its own models, rather than reselling others'."
    )
    protocol = models.CharField(max_length=32)
    base_url = models.CharField(
        max_length=512, blank=True, default="", help_text="The version part included."
    )
    needs_key = models.BooleanField(
        default=True, help_text="Without a stored key the provider counts as not configured."
    )
    auth = models.CharField(
        max_length=64, blank=True, default="", help_text="Empty: the protocol's own."
    )
    query = models.JSONField(default=dict, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)
    on_disconnect = models.CharField(
        max_length=8, choices=OnDisconnect.choices, default=OnDisconnect.CANCEL
    )
    connect_timeout_s = models.FloatField(default=3.0)
    first_byte_timeout_s = models.FloatField(default=60.0)
    first_byte_with_alternative_timeout_s = models.FloatField(default=12.0)
    idle_timeout_s = models.FloatField(default=30.0)
    total_timeout_s = models.FloatField(default=900.0)
    # What the provider grants us; 0: unknown.
    rpm = models.PositiveIntegerField(default=0)
    tpm = models.PositiveIntegerField(default=0)
    concurrent = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "provider"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="provider_timeouts_positive",
                condition=Q(
                    connect_timeout_s__gt=0,
                    first_byte_timeout_s__gt=0,
                    first_byte_with_alternative_timeout_s__gt=0,
                    idle_timeout_s__gt=0,
                    total_timeout_s__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="provider_on_disconnect_known",
                condition=Q(on_disconnect__in=["cancel", "drain"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class UpstreamKey(models.Model):
    """One of a provider's keys, encrypted and bound to this row (`catalog.secrets`)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="keys")
    position = models.PositiveSmallIntegerField(default=0)
    ciphertext = models.BinaryField()
    last4 = models.CharField(max_length=4, blank=True, default="")
    origin = models.CharField(
        max_length=80, default="admin", help_text="admin, file, or env:NAME (kept in step with it)."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "upstream_key"
        ordering = ["provider", "position"]
        constraints = [
            models.UniqueConstraint(name="upstream_key_position", fields=["provider", "position"]),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}/…{self.last4}"


class Model(models.Model):
    """One entry of the catalog; `catalog_id` (`openai/gpt-4o-mini`) is what customers ask for."""

    class Type(models.TextChoices):
        CHAT = "chat"
        IMAGE = "image"
        AUDIO = "audio"
        EMBEDDING = "embedding"

    catalog_id = models.CharField(max_length=200, unique=True)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models")
    type = models.CharField(max_length=16, choices=Type.choices, default=Type.CHAT)
    display_name = models.CharField(max_length=200)
    context_length = models.PositiveIntegerField(default=0, help_text="Tokens; 0: unknown.")
    max_output_tokens = models.PositiveIntegerField(default=0, help_text="Tokens; 0: unknown.")
    capabilities = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    input_modalities = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    output_modalities = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    priority = models.IntegerField(
        default=0, help_text="A bare name means the lowest number where several have it."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "model"
        ordering = ["catalog_id"]
        constraints = [
            models.CheckConstraint(
                name="model_type_known",
                condition=Q(type__in=["chat", "image", "audio", "embedding"]),
            ),
        ]

    def __str__(self) -> str:
        return self.catalog_id


class Offer(models.Model):
    """One model at one provider, with what that provider charges us where it differs."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="offers")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="offers")
    upstream_model = models.CharField(max_length=255)
    priority = models.IntegerField(default=0, help_text="Tried in ascending order.")
    weight = models.PositiveIntegerField(default=1)
    costs = models.JSONField(
        default=dict, blank=True, help_text='Dollars as strings: {"input": "0.16"}.'
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        db_table = "offer"
        ordering = ["model", "priority", "id"]
        constraints = [
            models.UniqueConstraint(
                name="offer_once", fields=["model", "provider", "upstream_model"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id}@{self.provider_id}"


class PriceVersion(models.Model):
    """The prices of a model over one span of time. Approved versions of a model never overlap."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        RETIRED = "retired"  # withdrawn before it began

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="price_versions")
    effective_from = models.DateTimeField(db_default=Now())
    effective_to = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT)
    approved_by = models.CharField(max_length=254, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "price_version"
        ordering = ["model", "-effective_from"]
        constraints = [
            models.CheckConstraint(
                name="price_version_span",
                condition=Q(effective_to__isnull=True) | Q(effective_to__gt=F("effective_from")),
            ),
            models.CheckConstraint(
                name="price_version_status_known",
                condition=Q(status__in=["draft", "approved", "retired"]),
            ),
            # A range of one id stands in for `=`, so that no extension (btree_gist) is needed.
            ExclusionConstraint(
                name="price_version_approved_never_overlap",
                expressions=[
                    (
                        Func(F("model_id"), F("model_id"), Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(F("effective_from"), F("effective_to"), function="tstzrange"),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(status="approved"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} from {self.effective_from:%Y-%m-%d %H:%M}"


class PriceComponent(models.Model):
    """One price of a version: dollars per `per` units, cost (ours) and sell (the customer's)."""

    price_version = models.ForeignKey(
        PriceVersion, on_delete=models.CASCADE, related_name="components"
    )
    unit = models.CharField(max_length=32, choices=[(unit, unit) for unit in UNITS])
    cost_price = models.DecimalField(max_digits=24, decimal_places=12, default=Decimal(0))
    sell_price = models.DecimalField(max_digits=24, decimal_places=12)
    per = models.PositiveIntegerField(default=1_000_000)
    tier_start = models.PositiveIntegerField(
        default=0, help_text="For the whole request once its input is above so many tokens."
    )
    variant = models.JSONField(
        default=dict, blank=True, help_text='{"service_tier": "flex"}, {"size": "1024x1024"}'
    )

    class Meta:
        db_table = "price_component"
        ordering = ["price_version", "tier_start", "id"]
        constraints = [
            models.UniqueConstraint(
                name="price_component_once",
                fields=["price_version", "unit", "tier_start", "variant"],
            ),
            models.CheckConstraint(
                name="price_component_not_negative",
                condition=Q(cost_price__gte=0, sell_price__gte=0, per__gt=0),
            ),
            models.CheckConstraint(
                name="price_component_unit_known", condition=Q(unit__in=list(UNITS))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} {self.sell_price}/{self.per}"


class CatalogSettings(models.Model):
    """One row: the markup on seeded prices, and the limits of a new organization (0: none)."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    markup = models.DecimalField(max_digits=9, decimal_places=6, default=Decimal(1))
    default_rpm = models.PositiveIntegerField(default=600)
    default_tpm = models.PositiveIntegerField(default=1_000_000)
    default_concurrent = models.PositiveIntegerField(default=100)

    class Meta:
        db_table = "catalog_settings"
        verbose_name = "catalog settings"
        verbose_name_plural = "catalog settings"
        constraints = [
            models.CheckConstraint(name="catalog_settings_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="catalog_settings_markup_positive", condition=Q(markup__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return "catalog settings"

    @classmethod
    def limits(cls) -> Limits:
        """The limits of a new organization, as they are now."""
        row = cls.objects.filter(pk=1).first() or cls()
        return Limits(rpm=row.default_rpm, tpm=row.default_tpm, concurrent=row.default_concurrent)


class CatalogRevision(models.Model):
    """One row, written by triggers: which state of the catalog this is.

    `changed_at` tells two states of the same number apart (a restored backup, a rolled-back test).
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    revision = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "catalog_revision"
        constraints = [
            models.CheckConstraint(name="catalog_revision_one_row", condition=Q(id=1)),
        ]

    def __str__(self) -> str:
        return f"revision {self.revision}"
