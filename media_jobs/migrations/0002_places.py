"""Places at asynchronous providers, and the line for them.

Tables: `media_job`, thousands of rows. Lock: exclusive for the columns, for a moment; the indexes
look at every row and let nobody write meanwhile, which takes less than a second. Old code leaves
the columns empty: its orders are not counted. Undone by dropping both.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("media_jobs", "0001_jobs"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="place",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="job",
            name="waits_for",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("place__isnull", False), ("state", "processing")),
                fields=["place"],
                name="media_job_places",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "processing"), ("waits_for__isnull", False)),
                fields=["waits_for", "id"],
                name="media_job_line",
            ),
        ),
    ]
