"""Check the constraint of 0007 for the rows that were there.

Table: millions of rows, each read once. Lock: SHARE UPDATE EXCLUSIVE, which nobody waits for.
Nothing to undo.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_settle_batch_v2")]

    operations = [ValidateConstraint("usageevent", "usage_event_media")]
