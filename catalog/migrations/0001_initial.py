"""The first tables. New and empty: no lock that anybody waits for; undone by dropping them."""

from decimal import Decimal

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import ccapi.core.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Model",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("catalog_id", models.CharField(max_length=200, unique=True)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("chat", "Chat"),
                            ("image", "Image"),
                            ("audio", "Audio"),
                            ("embedding", "Embedding"),
                        ],
                        default="chat",
                        max_length=16,
                    ),
                ),
                ("display_name", models.CharField(max_length=200)),
                (
                    "context_length",
                    models.PositiveIntegerField(default=0, help_text="Tokens; 0: unknown."),
                ),
                (
                    "max_output_tokens",
                    models.PositiveIntegerField(default=0, help_text="Tokens; 0: unknown."),
                ),
                (
                    "capabilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                (
                    "input_modalities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                (
                    "output_modalities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                (
                    "priority",
                    models.IntegerField(
                        default=0,
                        help_text="A bare name means the lowest number where several have it.",
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "model",
                "ordering": ["catalog_id"],
            },
        ),
        migrations.CreateModel(
            name="CatalogRevision",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("revision", models.BigIntegerField(default=0)),
                (
                    "changed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": "catalog_revision",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="catalog_revision_one_row"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CatalogSettings",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                (
                    "markup",
                    models.DecimalField(decimal_places=6, default=Decimal("1"), max_digits=9),
                ),
                ("default_rpm", models.PositiveIntegerField(default=600)),
                ("default_tpm", models.PositiveIntegerField(default=1000000)),
                ("default_concurrent", models.PositiveIntegerField(default=100)),
            ],
            options={
                "verbose_name": "catalog settings",
                "verbose_name_plural": "catalog settings",
                "db_table": "catalog_settings",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="catalog_settings_one_row"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("markup__gt", 0)),
                        name="catalog_settings_markup_positive",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "effective_from",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("effective_to", models.DateTimeField(blank=True, null=True)),
                ("source", models.CharField(blank=True, default="", max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("approved", "Approved"),
                            ("retired", "Retired"),
                        ],
                        default="draft",
                        max_length=16,
                    ),
                ),
                ("approved_by", models.CharField(blank=True, default="", max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="price_versions",
                        to="catalog.model",
                    ),
                ),
            ],
            options={
                "db_table": "price_version",
                "ordering": ["model", "-effective_from"],
            },
        ),
        migrations.CreateModel(
            name="PriceComponent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("input", "input"),
                            ("output", "output"),
                            ("cache_read", "cache_read"),
                            ("cache_write", "cache_write"),
                            ("cache_write_1h", "cache_write_1h"),
                            ("reasoning", "reasoning"),
                            ("input_audio", "input_audio"),
                            ("output_audio", "output_audio"),
                            ("input_image", "input_image"),
                            ("output_image", "output_image"),
                            ("input_characters", "input_characters"),
                            ("image", "image"),
                            ("audio_seconds", "audio_seconds"),
                            ("request", "request"),
                            ("web_search", "web_search"),
                        ],
                        max_length=32,
                    ),
                ),
                (
                    "cost_price",
                    models.DecimalField(decimal_places=12, default=Decimal("0"), max_digits=24),
                ),
                ("sell_price", models.DecimalField(decimal_places=12, max_digits=24)),
                ("per", models.PositiveIntegerField(default=1000000)),
                (
                    "tier_start",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="For the whole request once its input is above so many tokens.",
                    ),
                ),
                (
                    "variant",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='{"service_tier": "flex"}, {"size": "1024x1024"}',
                    ),
                ),
                (
                    "price_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="components",
                        to="catalog.priceversion",
                    ),
                ),
            ],
            options={
                "db_table": "price_component",
                "ordering": ["price_version", "tier_start", "id"],
            },
        ),
        migrations.CreateModel(
            name="Provider",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.SlugField(max_length=64, unique=True)),
                ("display_name", models.CharField(max_length=128)),
                ("description", models.TextField(blank=True, default="")),
                ("website", models.CharField(blank=True, default="", max_length=255)),
                (
                    "is_fundamental",
                    models.BooleanField(
                        default=False,
                        help_text="Makes its own models, rather than reselling others'.",
                    ),
                ),
                ("protocol", models.CharField(max_length=32)),
                (
                    "base_url",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The version part included.",
                        max_length=512,
                    ),
                ),
                (
                    "needs_key",
                    models.BooleanField(
                        default=True,
                        help_text="Without a stored key the provider counts as not configured.",
                    ),
                ),
                (
                    "auth",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Empty: the protocol's own.",
                        max_length=64,
                    ),
                ),
                ("query", models.JSONField(blank=True, default=dict)),
                ("headers", models.JSONField(blank=True, default=dict)),
                ("enabled", models.BooleanField(default=True)),
                (
                    "on_disconnect",
                    models.CharField(
                        choices=[
                            ("cancel", "cancel: it stops billing when we hang up"),
                            ("drain", "drain: it bills to the end, so we read to the end"),
                        ],
                        default="cancel",
                        max_length=8,
                    ),
                ),
                ("connect_timeout_s", models.FloatField(default=3.0)),
                ("first_byte_timeout_s", models.FloatField(default=60.0)),
                ("first_byte_with_alternative_timeout_s", models.FloatField(default=12.0)),
                ("idle_timeout_s", models.FloatField(default=30.0)),
                ("total_timeout_s", models.FloatField(default=900.0)),
                ("rpm", models.PositiveIntegerField(default=0)),
                ("tpm", models.PositiveIntegerField(default=0)),
                ("concurrent", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "provider",
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("connect_timeout_s__gt", 0),
                            ("first_byte_timeout_s__gt", 0),
                            ("first_byte_with_alternative_timeout_s__gt", 0),
                            ("idle_timeout_s__gt", 0),
                            ("total_timeout_s__gt", 0),
                        ),
                        name="provider_timeouts_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("on_disconnect__in", ["cancel", "drain"])),
                        name="provider_on_disconnect_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("upstream_model", models.CharField(max_length=255)),
                ("priority", models.IntegerField(default=0, help_text="Tried in ascending order.")),
                ("weight", models.PositiveIntegerField(default=1)),
                (
                    "costs",
                    models.JSONField(
                        blank=True, default=dict, help_text='Dollars as strings: {"input": "0.16"}.'
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="offers",
                        to="catalog.model",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="catalog.provider",
                    ),
                ),
            ],
            options={
                "db_table": "offer",
                "ordering": ["model", "priority", "id"],
            },
        ),
        migrations.AddField(
            model_name="model",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="models",
                to="catalog.provider",
            ),
        ),
        migrations.CreateModel(
            name="UpstreamKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ccapi.core.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("ciphertext", models.BinaryField()),
                ("last4", models.CharField(blank=True, default="", max_length=4)),
                (
                    "origin",
                    models.CharField(
                        default="admin",
                        help_text="admin, file, or env:NAME (kept in step with it).",
                        max_length=80,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="catalog.provider",
                    ),
                ),
            ],
            options={
                "db_table": "upstream_key",
                "ordering": ["provider", "position"],
            },
        ),
        migrations.AddConstraint(
            model_name="priceversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("effective_to__isnull", True),
                    ("effective_to__gt", models.F("effective_from")),
                    _connector="OR",
                ),
                name="price_version_span",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["draft", "approved", "retired"])),
                name="price_version_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceversion",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                condition=models.Q(("status", "approved")),
                expressions=[
                    (
                        models.Func(
                            models.F("model_id"),
                            models.F("model_id"),
                            models.Value("[]"),
                            function="int8range",
                        ),
                        "&&",
                    ),
                    (
                        models.Func(
                            models.F("effective_from"),
                            models.F("effective_to"),
                            function="tstzrange",
                        ),
                        "&&",
                    ),
                ],
                name="price_version_approved_never_overlap",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricecomponent",
            constraint=models.UniqueConstraint(
                fields=("price_version", "unit", "tier_start", "variant"),
                name="price_component_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricecomponent",
            constraint=models.CheckConstraint(
                condition=models.Q(("cost_price__gte", 0), ("per__gt", 0), ("sell_price__gte", 0)),
                name="price_component_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricecomponent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "unit__in",
                        [
                            "input",
                            "output",
                            "cache_read",
                            "cache_write",
                            "cache_write_1h",
                            "reasoning",
                            "input_audio",
                            "output_audio",
                            "input_image",
                            "output_image",
                            "input_characters",
                            "image",
                            "audio_seconds",
                            "request",
                            "web_search",
                        ],
                    )
                ),
                name="price_component_unit_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(
                fields=("model", "provider", "upstream_model"), name="offer_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="model",
            constraint=models.CheckConstraint(
                condition=models.Q(("type__in", ["chat", "image", "audio", "embedding"])),
                name="model_type_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="upstreamkey",
            constraint=models.UniqueConstraint(
                fields=("provider", "position"), name="upstream_key_position"
            ),
        ),
    ]
