"""Groups, their aliases, the active group of an organization; what refuses reserved names.

Tables are new and empty. Undone by dropping them; nothing else refers to them.

The names are those of `ccapi.core.reserved.RESERVED` on this day: a name that joins them later
wants a migration (a test says so), and until then the forms refuse it by themselves.
"""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import catalog.groups.models
import catalog.groups.names

RESERVED = """
    .well-known account accounts admin api audio auth batches billing chat compat compat_mode
    completions credits docs embeddings false favicon.ico files generations groups health
    healthz images internal jobs keys livez login logout mcp media messages metrics models
    moderations none null openapi portal providers readyz realtime responses robots.txt root
    schema static switch system test true undefined usage v1 v1beta v2 videos webhooks ws
"""
NAMES = ", ".join(f"'{name}'" for name in RESERVED.split())
REFUSE = """
ALTER TABLE model_group ADD CONSTRAINT model_group_name_free CHECK (name NOT IN (:names));
ALTER TABLE active_group ADD CONSTRAINT active_group_name_free CHECK (name NOT IN (:names));
""".replace(":names", NAMES)
UNREFUSE = """
ALTER TABLE active_group DROP CONSTRAINT active_group_name_free;
ALTER TABLE model_group DROP CONSTRAINT model_group_name_free;
"""

TABLES = ("model_group", "group_alias", "active_group")
WATCH = """
CREATE TRIGGER :table_bumps_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON :table
FOR EACH STATEMENT EXECUTE FUNCTION catalog_revision_bump();
"""
UNWATCH = "DROP TRIGGER :table_bumps_revision ON :table;"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_key_management_and_rotation"),
        ("catalog", "0002_triggers"),
    ]

    operations = [
        migrations.CreateModel(
            name="ActiveGroup",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=40, validators=[catalog.groups.names.validate_name]
                    ),
                ),
            ],
            options={
                "db_table": "active_group",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name__regex", "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")),
                        name="active_group_name_form",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Group",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="The segment of its path, for good: /name/v1/messages.",
                        max_length=40,
                        validators=[catalog.groups.names.validate_name],
                    ),
                ),
                ("disabled", models.BooleanField(default=False)),
                (
                    "allow_catalog",
                    models.BooleanField(
                        default=False, help_text="Whether catalog ids work under this prefix too."
                    ),
                ),
                (
                    "balance",
                    models.CharField(
                        choices=[
                            ("failover", "failover: the targets in their order"),
                            ("round_robin", "round robin: another target first each time"),
                        ],
                        default="failover",
                        max_length=16,
                    ),
                ),
                (
                    "tool_compat",
                    models.CharField(
                        choices=[
                            ("auto", "auto: the path decides"),
                            ("compat", "compat: tools are told in the prompt"),
                            ("native", "native: tools are sent as tools"),
                        ],
                        default="auto",
                        max_length=8,
                    ),
                ),
                (
                    "prompt_injection",
                    models.CharField(
                        choices=[
                            ("off", "Off"),
                            ("enhance", "enhance: behind the client's own prompt"),
                            ("replace", "replace: instead of the client's own prompt"),
                        ],
                        default="off",
                        max_length=8,
                    ),
                ),
                ("prompt_text", models.TextField(blank=True, default="")),
                (
                    "prompt_position",
                    models.CharField(
                        choices=[
                            ("system", "the system prompt"),
                            ("user", "the last user message"),
                        ],
                        default="system",
                        max_length=8,
                    ),
                ),
                (
                    "inject",
                    models.CharField(
                        choices=[("with_tools", "requests with tools"), ("always", "all requests")],
                        default="with_tools",
                        help_text="Which requests the prompt is for.",
                        max_length=16,
                    ),
                ),
                (
                    "inject_for",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=128, validators=[catalog.groups.names.validate_pattern]
                        ),
                        blank=True,
                        default=list,
                        help_text="Patterns of aliases that the prompt is for; empty: all.",
                        size=None,
                    ),
                ),
                (
                    "prompt_replace",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text='In the client\'s system prompt: [{"key": "…", "value": "…"}].',
                        validators=[catalog.groups.models.validate_replaces],
                    ),
                ),
                (
                    "tool_filter",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128),
                        blank=True,
                        default=list,
                        help_text="Names of tools taken out of requests.",
                        size=None,
                    ),
                ),
                (
                    "temperature_ratio",
                    models.FloatField(
                        default=1.0,
                        help_text="What a temperature that the client sends is multiplied by.",
                        validators=[
                            django.core.validators.MinValueValidator(0.0),
                            django.core.validators.MaxValueValidator(10.0),
                        ],
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: the platform's, seen by every organization.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "db_table": "model_group",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Alias",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "position",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="The lowest is tried first."
                    ),
                ),
                (
                    "pattern",
                    models.CharField(
                        help_text="With * and ?.",
                        max_length=128,
                        validators=[catalog.groups.names.validate_pattern],
                    ),
                ),
                (
                    "targets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        help_text="Catalog ids in their order, with commas between.",
                        size=16,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="aliases",
                        to="catalog.group",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "aliases",
                "db_table": "group_alias",
                "ordering": ["group", "position", "id"],
            },
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.UniqueConstraint(
                fields=("organization", "name"),
                name="model_group_once",
                nulls_distinct=False,
                violation_error_message="There is a group of this name already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("name__regex", "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"),
                    models.Q(("name__regex", "^[0-9]+$"), _negated=True),
                    models.Q(("name__contains", "--"), _negated=True),
                ),
                name="model_group_name_form",
            ),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("balance__in", ["failover", "round_robin"]),
                    ("inject__in", ["with_tools", "always"]),
                    ("prompt_injection__in", ["off", "enhance", "replace"]),
                    ("prompt_position__in", ["system", "user"]),
                    ("tool_compat__in", ["auto", "compat", "native"]),
                ),
                name="model_group_choices_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.CheckConstraint(
                condition=models.Q(("temperature_ratio__gte", 0), ("temperature_ratio__lte", 10.0)),
                name="model_group_ratio_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="alias",
            constraint=models.UniqueConstraint(
                fields=("group", "pattern"), name="group_alias_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="alias",
            constraint=models.CheckConstraint(
                condition=models.Q(("position__lt", 200)), name="group_alias_position_bounded"
            ),
        ),
        migrations.AddConstraint(
            model_name="alias",
            constraint=models.CheckConstraint(
                condition=models.Q(("pattern", ""), _negated=True),
                name="group_alias_pattern_present",
            ),
        ),
        migrations.AddConstraint(
            model_name="alias",
            constraint=models.CheckConstraint(
                condition=models.Q(("targets__len__gte", 1), ("targets__len__lte", 16)),
                name="group_alias_has_targets",
            ),
        ),
        migrations.RunSQL(REFUSE, UNREFUSE),
        *(
            migrations.RunSQL(WATCH.replace(":table", table), UNWATCH.replace(":table", table))
            for table in TABLES
        ),
    ]
