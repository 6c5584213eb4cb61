"""Networks that a key may be used from.

Table: api_key, small. Lock: ACCESS EXCLUSIVE for an instant (a constant default, no rewrite).
Undone by dropping the column: every key is then good from everywhere. The trigger that makes
processes forget a key watches the new column, too.
"""

import importlib

import django.contrib.postgres.fields
from django.db import migrations, models

import accounts.models

limits = importlib.import_module("accounts.migrations.0003_limits")
WATCHED = f"{limits.KEY}, {limits.LIMITS}"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_key_management_and_rotation")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="allowed_ips",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(validators=[accounts.models.validate_network]),
                blank=True,
                db_default=[],
                default=list,
                help_text="Addresses and networks (203.0.113.0/24) that it may be used from,"
                " separated by commas; empty means everywhere.",
                size=None,
            ),
        ),
        migrations.RunSQL(
            limits.triggers(f"{limits.ORGANIZATION}, {limits.LIMITS}", f"{WATCHED}, allowed_ips"),
            limits.triggers(f"{limits.ORGANIZATION}, {limits.LIMITS}", WATCHED),
        ),
    ]
