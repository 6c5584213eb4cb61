"""Count pictures and characters: two columns of usage_event and of usage_rollup.

Tables: millions of rows. Lock: ACCESS EXCLUSIVE for an instant; a constant default rewrites
nothing, and the constraint is checked for what comes from now on (0009 checks the rest). Old code
goes on: it names neither column. Undone by dropping them.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import CheckConstraint, Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_partitions_by_their_owner")]

    operations = [
        *(
            migrations.AddField(model, field, models.BigIntegerField(db_default=0))
            for model in ("usageevent", "usagerollup")
            for field in ("images", "characters")
        ),
        AddConstraintNotValid(
            "usageevent",
            CheckConstraint(
                name="usage_event_media", condition=Q(images__gte=0, characters__gte=0)
            ),
        ),
    ]
