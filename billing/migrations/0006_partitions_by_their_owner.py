"""Who may call `ensure_partitions_v1` need not own the tables: it acts as its owner.

In production the gateway's role owns nothing, and it is the gateway that makes the months ahead.
The function takes a number and makes tables of fixed names, in the schema of the tables; temporary
ones of its caller come last, so that none passes for a table of ours.

No lock, no rows. Undone by the reverse: it acts as its caller again.
"""

from django.db import migrations

AS_OWNER = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION ensure_partitions_v1(int)'
                   ' SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$
"""
AS_CALLER = "ALTER FUNCTION ensure_partitions_v1(int) SECURITY INVOKER RESET search_path"


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_usage_rollup")]

    operations = [migrations.RunSQL(AS_OWNER, AS_CALLER)]
