"""Partition settlement and usage_event by month; refuse edits of both and of the journal.

Tables: empty when this runs. Lock: ACCESS EXCLUSIVE on the three, milliseconds. Undone by copying
the rows into plain tables.
"""

from django.db import migrations

from billing.sql import install


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [install("partitions", "partitions_undo.sql")]
