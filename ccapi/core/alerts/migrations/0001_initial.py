"""The table of alerts, a row for each kind and subject: small; undone by dropping it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=64)),
                ("subject", models.CharField(max_length=200)),
                ("text", models.TextField()),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField(db_index=True)),
                (
                    "told_at",
                    models.DateTimeField(help_text="When it was last sent by e-mail or webhook."),
                ),
                (
                    "count",
                    models.PositiveIntegerField(
                        default=1, help_text="How many cool-downs it lasted."
                    ),
                ),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "alert",
                "ordering": ("-last_seen",),
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "subject"), name="alert_once")
                ],
            },
        ),
    ]
