"""Limits of organizations and keys: requests and tokens a minute, requests at once.

Tables: organization and api_key, small. Lock: ACCESS EXCLUSIVE on each for an instant; a column
with a constant default rewrites nothing, and the old code may go on inserting without it. Undone by
dropping the columns. Those who are there already have no limits (0) until somebody sets them.

The triggers are made anew, so that a changed limit acts within a second as well.
"""

from django.db import migrations, models

ORGANIZATION = "public_id, status"
KEY = "organization_id, mac, allowed_models, expires_at, revoked_at"
LIMITS = "rpm, tpm, concurrent"
WHAT = {"rpm": "requests a minute", "tpm": "tokens a minute", "concurrent": "requests at once"}


def triggers(organization: str, key: str) -> str:
    return f"""
DROP TRIGGER organization_key_revision ON organization;
DROP TRIGGER api_key_revision ON api_key;

CREATE TRIGGER api_key_revision
AFTER UPDATE OF {key} OR DELETE OR TRUNCATE
ON api_key FOR EACH STATEMENT EXECUTE FUNCTION key_revision_bump();

CREATE TRIGGER organization_key_revision
AFTER UPDATE OF {organization} OR DELETE OR TRUNCATE
ON organization FOR EACH STATEMENT EXECUTE FUNCTION key_revision_bump();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_key_revision_trigger")]

    operations = [
        *(
            migrations.AddField(
                model_name="organization",
                name=name,
                field=models.PositiveIntegerField(
                    db_default=0, default=0, help_text="0: no limit.", verbose_name=verbose
                ),
            )
            for name, verbose in WHAT.items()
        ),
        *(
            migrations.AddField(
                model_name="apikey",
                name=name,
                field=models.PositiveIntegerField(
                    blank=True,
                    null=True,
                    help_text="Empty or 0: only the organization's limit applies.",
                    verbose_name=verbose,
                ),
            )
            for name, verbose in WHAT.items()
        ),
        migrations.RunSQL(
            triggers(f"{ORGANIZATION}, {LIMITS}", f"{KEY}, {LIMITS}"),
            triggers(ORGANIZATION, KEY),
        ),
    ]
