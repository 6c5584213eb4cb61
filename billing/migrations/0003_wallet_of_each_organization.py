"""Give every organization a wallet, by trigger; open the journal's accounts; view ledger_entry.

Tables: organization and wallet, small. Lock: SHARE ROW EXCLUSIVE on organization, milliseconds.
Undone by dropping the trigger; the wallets stay.
"""

from django.db import migrations

from billing.sql import install


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_partitions_and_append_only")]

    operations = [install("wallets", "wallets_undo.sql")]
