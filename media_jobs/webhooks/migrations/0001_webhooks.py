"""Secrets, deliveries with their attempts, and disabled URLs.

Tables: new. Lock: none that anybody waits for. Undone by dropping them, with what was on its way.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models

import ccapi.core.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_key_management_and_rotation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ccapi.core.ids.uuid7, primary_key=True, serialize=False
                    ),
                ),
                ("event_id", models.TextField()),
                ("url", models.TextField()),
                ("payload", models.BinaryField(null=True)),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("disabled", "Disabled"),
                        ],
                        db_default="pending",
                        default="pending",
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("leased_until", models.DateTimeField(null=True)),
                ("fence", models.BigIntegerField(db_default=0, default=0)),
                ("turn", models.IntegerField(db_default=0, default=0)),
                ("attempts_count", models.IntegerField(db_default=0, default=0)),
                ("last_status", models.IntegerField(null=True)),
                ("last_error", models.TextField(db_default="", default="")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "db_table": "webhook_delivery",
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.IntegerField()),
                ("at", models.DateTimeField()),
                ("duration_ms", models.IntegerField()),
                ("status", models.IntegerField(null=True)),
                ("error", models.TextField(db_default="")),
                ("answer", models.TextField(db_default="")),
                (
                    "delivery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="webhooks.delivery",
                    ),
                ),
            ],
            options={
                "db_table": "webhook_attempt",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="DisabledUrl",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ccapi.core.ids.uuid7, primary_key=True, serialize=False
                    ),
                ),
                ("url", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "verbose_name": "disabled URL",
                "db_table": "webhook_disabled_url",
            },
        ),
        migrations.CreateModel(
            name="Secret",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ccapi.core.ids.uuid7, primary_key=True, serialize=False
                    ),
                ),
                ("ciphertext", models.BinaryField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ends_at", models.DateTimeField(null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "db_table": "webhook_secret",
            },
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["organization", "due_at"],
                name="webhook_delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["organization", "-id"], name="webhook_delivery_newest"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["finished_at"],
                name="webhook_delivery_over",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                models.F("organization"),
                models.F("event_id"),
                django.db.models.functions.text.MD5("url"),
                name="webhook_delivery_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("state", "pending")),
                    models.Q(
                        models.Q(("state", "pending"), _negated=True),
                        ("finished_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="webhook_delivery_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "pending"), _negated=True),
                    ("payload__isnull", False),
                    _connector="OR",
                ),
                name="webhook_delivery_payload",
            ),
        ),
        migrations.AddConstraint(
            model_name="disabledurl",
            constraint=models.UniqueConstraint(
                models.F("organization"),
                django.db.models.functions.text.MD5("url"),
                name="webhook_disabled_url_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="secret",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ends_at", None)),
                fields=("organization",),
                name="webhook_secret_one_stays",
            ),
        ),
    ]
