"""Keys that manage keys, and the secret before a rotation.

Table: api_key, small. Lock: ACCESS EXCLUSIVE for an instant (no rewrite), and a scan of it for the
CHECK. Undone by dropping the columns; a rotation's overlap ends with that.

The first key of each organization, made by an operator, manages keys from now on; no other does.
The triggers stay: a rotation changes `mac`, which they watch.
"""

from django.db import migrations, models
from django.db.models.functions import Length
from django.db.models.lookups import Exact

FIRST_KEYS = """
UPDATE api_key SET manages_keys = true
WHERE id IN (SELECT min(id) FROM api_key GROUP BY organization_id)
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_limits")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="manages_keys",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether this key may make and change keys within its own bounds.",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="old_mac",
            field=models.BinaryField(null=True, unique=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="old_mac_until",
            field=models.DateTimeField(editable=False, null=True, verbose_name="old secret until"),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(old_mac=None, old_mac_until=None)
                | models.Q(Exact(Length("old_mac"), 32), old_mac_until__isnull=False),
                name="api_key_old_mac_ends",
            ),
        ),
        migrations.RunSQL(FIRST_KEYS, migrations.RunSQL.noop),
    ]
