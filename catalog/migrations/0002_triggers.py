"""Triggers: every change bumps the revision, and an approved price is never edited.

Tables are small (thousands of rows) and this is their first release: no lock anybody waits for.
Undone by dropping the triggers and their functions; no data changes.
"""

from django.db import migrations

TABLES = (
    "provider",
    "upstream_key",
    "model",
    "offer",
    "price_version",
    "price_component",
    "catalog_settings",
)

BUMP = """
INSERT INTO catalog_revision (id, revision, changed_at) VALUES (1, 1, clock_timestamp());

CREATE FUNCTION catalog_revision_bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- An upsert, so that a deleted row comes back; clock_timestamp(), so that two changes of one
  -- transaction differ.
  INSERT INTO catalog_revision AS r (id, revision, changed_at) VALUES (1, 1, clock_timestamp())
  ON CONFLICT (id) DO UPDATE SET revision = r.revision + 1, changed_at = clock_timestamp();
  RETURN NULL;
END $$;
"""
UNBUMP = "DROP FUNCTION catalog_revision_bump(); DELETE FROM catalog_revision;"

WATCH = """
CREATE TRIGGER :table_bumps_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON :table
FOR EACH STATEMENT EXECUTE FUNCTION catalog_revision_bump();
"""
UNWATCH = "DROP TRIGGER :table_bumps_revision ON :table;"

FREEZE = """
CREATE FUNCTION price_version_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status = 'draft' THEN
    RETURN COALESCE(NEW, OLD);
  END IF;
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'price version % is %: it is never deleted', OLD.id, OLD.status
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF (NEW.id, NEW.model_id, NEW.effective_from, NEW.source, NEW.approved_by, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.model_id, OLD.effective_from, OLD.source, OLD.approved_by, OLD.created_at) THEN
    RAISE EXCEPTION 'price version % is %: a new price is a new version', OLD.id, OLD.status
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.status <> OLD.status AND NOT (OLD.status = 'approved' AND NEW.status = 'retired'
     AND OLD.effective_from > clock_timestamp()) THEN
    RAISE EXCEPTION 'price version % is %: only one that has not begun can be withdrawn',
      OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
  END IF;
  -- It may be ended, or its end moved, but never so that time already charged changes hands.
  IF NEW.effective_to IS DISTINCT FROM OLD.effective_to
     AND (OLD.effective_to <= clock_timestamp()
          OR NEW.effective_to < clock_timestamp() - interval '1 minute') THEN
    RAISE EXCEPTION 'price version % cannot be ended in the past', OLD.id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER price_version_frozen BEFORE UPDATE OR DELETE ON price_version
FOR EACH ROW EXECUTE FUNCTION price_version_is_frozen();

CREATE FUNCTION price_component_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  frozen bigint;
BEGIN
  SELECT id INTO frozen FROM price_version
  WHERE status <> 'draft' AND (
    (TG_OP <> 'INSERT' AND id = OLD.price_version_id)
    OR (TG_OP <> 'DELETE' AND id = NEW.price_version_id))
  LIMIT 1;
  IF frozen IS NOT NULL THEN
    RAISE EXCEPTION 'price version % is approved: its prices are never edited', frozen
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN COALESCE(NEW, OLD);
END $$;

CREATE TRIGGER price_component_frozen BEFORE INSERT OR UPDATE OR DELETE ON price_component
FOR EACH ROW EXECUTE FUNCTION price_component_is_frozen();
"""

UNFREEZE = """
DROP TRIGGER price_component_frozen ON price_component;
DROP FUNCTION price_component_is_frozen();
DROP TRIGGER price_version_frozen ON price_version;
DROP FUNCTION price_version_is_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]

    operations = [
        migrations.RunSQL(BUMP, UNBUMP),
        *(
            migrations.RunSQL(WATCH.replace(":table", table), UNWATCH.replace(":table", table))
            for table in TABLES
        ),
        migrations.RunSQL(FREEZE, UNFREEZE),
    ]
