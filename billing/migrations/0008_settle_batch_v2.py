"""Settle with pictures and characters, and sum them up.

No rows. Lock: SHARE ROW EXCLUSIVE on usage_event and ledger_transfer for an instant (two triggers
are replaced). Old processes go on with settle_batch_v1. Undone by the triggers of before.
"""

from django.db import migrations

from billing.sql import install

BEFORE = """
CREATE OR REPLACE TRIGGER usage_rollup AFTER INSERT ON usage_event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION usage_rollup_add();
CREATE OR REPLACE TRIGGER usage_rollup_late AFTER INSERT ON ledger_transfer
    FOR EACH ROW WHEN (NEW.ref_type = 2) EXECUTE FUNCTION usage_rollup_add_late();
DROP FUNCTION usage_rollup_add_late_v2();
DROP FUNCTION usage_rollup_add_v2();
DROP FUNCTION usage_of_late_v2(jsonb);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_images_and_characters")]

    operations = [
        install("settle_batch_v2", "DROP FUNCTION settle_batch_v2(json, text);"),
        install("usage_rollup_v2", BEFORE),
    ]
