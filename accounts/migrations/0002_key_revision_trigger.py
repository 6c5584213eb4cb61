"""Count key_revision up whenever a key or an organization changes what it may do.

Tables: api_key and organization, small. Lock: SHARE ROW EXCLUSIVE on both while the triggers are
made, some milliseconds. Undone by dropping the triggers and their function.

The counter is a row, not a sequence: the row stays locked until the change commits, so a process
that reads the new number also reads the change. New keys and organizations do not count (nobody
remembers what did not exist), nor does `last_used_at`.
"""

from django.db import migrations

UP = """
CREATE FUNCTION key_revision_bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO key_revision (id, revision) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET revision = key_revision.revision + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER api_key_revision
AFTER UPDATE OF organization_id, mac, allowed_models, expires_at, revoked_at OR DELETE OR TRUNCATE
ON api_key FOR EACH STATEMENT EXECUTE FUNCTION key_revision_bump();

CREATE TRIGGER organization_key_revision
AFTER UPDATE OF public_id, status OR DELETE OR TRUNCATE
ON organization FOR EACH STATEMENT EXECUTE FUNCTION key_revision_bump();

INSERT INTO key_revision (id, revision) VALUES (1, 1) ON CONFLICT (id) DO NOTHING;
"""

DOWN = """
DROP TRIGGER organization_key_revision ON organization;
DROP TRIGGER api_key_revision ON api_key;
DROP FUNCTION key_revision_bump();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunSQL(UP, DOWN)]
