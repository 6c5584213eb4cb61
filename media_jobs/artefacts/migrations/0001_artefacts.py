"""Artefacts: whose they are and until when.

Table: new. Lock: none that anybody waits for. Undone by dropping it; the files are swept.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_key_management_and_rotation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Artefact",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("request_id", models.UUIDField()),
                ("media_type", models.TextField()),
                ("bytes", models.BigIntegerField()),
                ("sha256", models.BinaryField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("expires_at", models.DateTimeField()),
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
                "db_table": "artefact",
                "indexes": [
                    models.Index(fields=["expires_at"], name="artefact_due"),
                    models.Index(fields=["organization", "-created_at"], name="artefact_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("bytes__gt", 0)), name="artefact_bytes_some"
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            django.db.models.functions.text.Length("sha256"), 32
                        ),
                        name="artefact_sha256_length",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("created_at"))),
                        name="artefact_ends_later",
                    ),
                ],
            },
        ),
    ]
