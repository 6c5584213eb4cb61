"""Install the functions that move money. No table is touched; undone by dropping them."""

from django.db import migrations

from billing.sql import install

SWEEP_UNDO = (
    "DROP FUNCTION heartbeat_v1(uuid[], double precision);"
    "DROP FUNCTION sweep_holds_v1(int, double precision, text);"
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_wallet_of_each_organization")]

    operations = [
        install("hold_batch_v1", "DROP FUNCTION hold_batch_v1(json, double precision, text);"),
        install("settle_batch_v1", "DROP FUNCTION settle_batch_v1(json, text);"),
        install("sweep_holds_v1", SWEEP_UNDO),
        install("grant_v1", "DROP FUNCTION grant_v1(bigint, bigint, text, uuid, jsonb);"),
    ]
