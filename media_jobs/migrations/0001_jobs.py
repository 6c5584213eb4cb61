"""Image jobs and their sealed inputs.

Tables: new. Lock: none beyond the two referenced tables', briefly. Undone by dropping both.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_key_management_and_rotation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("endpoint", models.TextField()),
                ("base_url", models.TextField()),
                ("requested_models", models.JSONField()),
                ("operation", models.TextField()),
                ("count", models.IntegerField()),
                ("response_format", models.TextField()),
                ("end_user", models.TextField(db_default="")),
                ("webhook_url", models.TextField(db_default="")),
                ("plan", models.JSONField()),
                ("hold_nano", models.BigIntegerField()),
                ("hold_price_version", models.BigIntegerField()),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("pending", "pending"),
                            ("processing", "processing"),
                            ("completed", "completed"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        db_default="pending",
                    ),
                ),
                ("is_async", models.BooleanField(db_default=False)),
                ("model", models.TextField(db_default="")),
                ("provider", models.TextField(db_default="")),
                ("attempts", models.JSONField(db_default=[])),
                ("tries", models.IntegerField(db_default=0)),
                ("owner", models.TextField(db_default="")),
                ("lease_until", models.DateTimeField(null=True)),
                ("fence", models.BigIntegerField(db_default=0)),
                (
                    "due_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("queued_until", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField()),
                ("started", models.JSONField(null=True)),
                ("polls", models.IntegerField(db_default=0)),
                ("progress", models.FloatField(null=True)),
                ("estimated_s", models.FloatField(null=True)),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("error", models.JSONField(null=True)),
                ("results", models.JSONField(db_default=[])),
                ("dropped", models.JSONField(db_default=[])),
                ("cost_nano", models.BigIntegerField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "changed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "key",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
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
                "db_table": "media_job",
            },
        ),
        migrations.CreateModel(
            name="SealedInput",
            fields=[
                (
                    "job",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="sealed_input",
                        serialize=False,
                        to="media_jobs.job",
                    ),
                ),
                ("ciphertext", models.BinaryField()),
            ],
            options={
                "db_table": "media_job_input",
            },
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["organization", "-id"], name="media_job_newest"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state__in", ["pending", "processing"])),
                fields=["due_at"],
                name="media_job_due",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state__in", ["pending", "processing"])),
                fields=["organization"],
                name="media_job_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["pending", "processing", "completed", "failed", "cancelled"])
                ),
                name="media_job_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("finished_at__isnull", False),
                        ("state__in", ["cancelled", "completed", "failed"]),
                    ),
                    models.Q(
                        ("finished_at__isnull", True), ("state__in", ["pending", "processing"])
                    ),
                    _connector="OR",
                ),
                name="media_job_ends_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "completed"), _negated=True),
                    models.Q(
                        ("cost_nano__isnull", False), models.Q(("results", []), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="media_job_delivered",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "failed"), _negated=True),
                    ("error__isnull", False),
                    _connector="OR",
                ),
                name="media_job_failed_with_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("lease_until__isnull", True), ("state", "processing"), _connector="OR"
                ),
                name="media_job_lease_of_work",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cost_nano__isnull", True),
                    ("cost_nano__lte", models.F("hold_nano")),
                    _connector="OR",
                ),
                name="media_job_charge_within_hold",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(("count__gt", 0)), name="media_job_count"
            ),
        ),
    ]
