"""Sums of usage by half an hour, kept by triggers and filled from what there is.

Table: new; usage_event is read once. Lock: SHARE ROW EXCLUSIVE on usage_event and ledger_transfer
(settlements wait, and are spooled where they wait too long) for as long as that takes, about two
seconds a million events. Old code goes on unchanged. Undone by dropping it all; nothing is lost.
"""

from django.db import migrations, models

from billing.sql import install

UNDO = """
DROP TRIGGER usage_rollup_late ON ledger_transfer;
DROP TRIGGER usage_rollup ON usage_event;
DROP FUNCTION usage_rollup_add_late();
DROP FUNCTION usage_rollup_add();
DROP FUNCTION usage_of_late_v1(jsonb);
DROP FUNCTION usage_is_error_v1(text);
DROP FUNCTION usage_bucket_v1(uuid);
"""
# Most rows are updated often, for half an hour: room for that without new index entries.
ROOM = "ALTER TABLE usage_rollup SET (fillfactor = 70)"


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_money_functions_v1"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "bucket",
                        "key_id",
                        "model",
                        "provider",
                        "endpoint",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("organization_id", models.BigIntegerField()),
                ("bucket", models.DateTimeField()),
                ("key_id", models.BigIntegerField()),
                ("model", models.TextField()),
                ("provider", models.TextField()),
                ("endpoint", models.TextField()),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cache_read_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("cost_nano", models.BigIntegerField()),
                ("latency_ms_sum", models.BigIntegerField()),
            ],
            options={
                "db_table": "usage_rollup",
            },
        ),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
        install("usage_rollup_v1", UNDO),
    ]
