"""The tables of groups, their aliases, and which group an organization has made active.

Triggers (migration 0003) bump `catalog_revision` on every change, and a CHECK there refuses the
reserved names.
"""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from catalog.groups.names import (
    ALIASES_MAX,
    NAME_MAX,
    PATTERN_MAX,
    RATIO_MAX,
    REPLACE_KEY_MAX,
    REPLACE_VALUE_MAX,
    REPLACES_MAX,
    TARGETS_MAX,
    validate_name,
    validate_pattern,
)

# The grammar of `names.NAME`, as PostgreSQL writes it.
NAME_FORM = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


def validate_replaces(value: object) -> None:
    """`[{"key": …, "value": …}]`. Raises: ValidationError."""
    if not isinstance(value, list) or len(value) > REPLACES_MAX:
        raise ValidationError(f"A list of at most {REPLACES_MAX} {{key, value}}.")
    for pair in value:
        if (
            not isinstance(pair, dict)
            or pair.keys() != {"key", "value"}
            or not all(isinstance(text, str) for text in pair.values())
            or not 0 < len(pair["key"]) <= REPLACE_KEY_MAX
            or len(pair["value"]) > REPLACE_VALUE_MAX
        ):
            raise ValidationError(
                f'Each is {{"key": "…", "value": "…"}}, of at most {REPLACE_KEY_MAX} and'
                f" {REPLACE_VALUE_MAX} characters, its key not empty."
            )


class Group(models.Model):
    """Aliases under one segment of a path, and what is done to requests that go through them."""

    class Balance(models.TextChoices):
        FAILOVER = "failover", "failover: the targets in their order"
        ROUND_ROBIN = "round_robin", "round robin: another target first each time"

    class Inject(models.TextChoices):
        WITH_TOOLS = "with_tools", "requests with tools"
        ALWAYS = "always", "all requests"

    class ToolCompat(models.TextChoices):
        AUTO = "auto", "auto: the path decides"
        COMPAT = "compat", "compat: tools are told in the prompt"
        NATIVE = "native", "native: tools are sent as tools"

    class PromptInjection(models.TextChoices):
        OFF = "off"
        ENHANCE = "enhance", "enhance: behind the client's own prompt"
        REPLACE = "replace", "replace: instead of the client's own prompt"

    class PromptPosition(models.TextChoices):
        SYSTEM = "system", "the system prompt"
        USER = "user", "the last user message"

    organization = models.ForeignKey(
        "accounts.Organization",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: the platform's, seen by every organization.",
    )
    name = models.CharField(
        max_length=NAME_MAX,
        validators=[validate_name],
        help_text="The segment of its path, for good: /name/v1/messages.",
    )
    disabled = models.BooleanField(default=False)
    allow_catalog = models.BooleanField(
        default=False, help_text="Whether catalog ids work under this prefix too."
    )
    balance = models.CharField(max_length=16, choices=Balance.choices, default=Balance.FAILOVER)
    tool_compat = models.CharField(
        max_length=8, choices=ToolCompat.choices, default=ToolCompat.AUTO
    )
    prompt_injection = models.CharField(
        max_length=8, choices=PromptInjection.choices, default=PromptInjection.OFF
    )
    prompt_text = models.TextField(blank=True, default="")
    prompt_position = models.CharField(
        max_length=8, choices=PromptPosition.choices, default=PromptPosition.SYSTEM
    )
    inject = models.CharField(
        max_length=16,
        choices=Inject.choices,
        default=Inject.WITH_TOOLS,
        help_text="Which requests the prompt is for.",
    )
    inject_for = ArrayField(
        models.CharField(max_length=PATTERN_MAX, validators=[validate_pattern]),
        default=list,
        blank=True,
        help_text="Patterns of aliases that the prompt is for; empty: all.",
    )
    prompt_replace = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_replaces],
        help_text='In the client\'s system prompt: [{"key": "…", "value": "…"}].',
    )
    tool_filter = ArrayField(
        models.CharField(max_length=128),
        default=list,
        blank=True,
        help_text="Names of tools taken out of requests.",
    )
    temperature_ratio = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(RATIO_MAX)],
        help_text="What a temperature that the client sends is multiplied by.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "model_group"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                name="model_group_once",
                fields=["organization", "name"],
                nulls_distinct=False,
                violation_error_message="There is a group of this name already.",
            ),
            models.CheckConstraint(
                name="model_group_name_form",
                condition=Q(name__regex=NAME_FORM)
                & ~Q(name__regex=r"^[0-9]+$")
                & ~Q(name__contains="--"),
            ),
            models.CheckConstraint(
                name="model_group_choices_known",
                condition=Q(
                    balance__in=["failover", "round_robin"],
                    inject__in=["with_tools", "always"],
                    tool_compat__in=["auto", "compat", "native"],
                    prompt_injection__in=["off", "enhance", "replace"],
                    prompt_position__in=["system", "user"],
                ),
            ),
            models.CheckConstraint(
                name="model_group_ratio_bounded",
                condition=Q(temperature_ratio__gte=0, temperature_ratio__lte=RATIO_MAX),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Alias(models.Model):
    """A name that clients ask for, or a pattern of such names; the first that matches counts."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="aliases")
    position = models.PositiveSmallIntegerField(default=0, help_text="The lowest is tried first.")
    pattern = models.CharField(
        max_length=PATTERN_MAX, validators=[validate_pattern], help_text="With * and ?."
    )
    targets = ArrayField(
        models.CharField(max_length=200),
        size=TARGETS_MAX,
        help_text="Catalog ids in their order, with commas between.",
    )

    class Meta:
        db_table = "group_alias"
        verbose_name_plural = "aliases"
        ordering = ["group", "position", "id"]
        constraints = [
            models.UniqueConstraint(name="group_alias_once", fields=["group", "pattern"]),
            models.CheckConstraint(
                name="group_alias_position_bounded", condition=Q(position__lt=ALIASES_MAX)
            ),
            models.CheckConstraint(name="group_alias_pattern_present", condition=~Q(pattern="")),
            models.CheckConstraint(
                name="group_alias_has_targets",
                condition=Q(targets__len__gte=1, targets__len__lte=TARGETS_MAX),
            ),
        ]

    def __str__(self) -> str:
        return self.pattern


class ActiveGroup(models.Model):
    """What `/switch/…` means for one organization; without a row: `default`.

    A name, so that it means what the same name means in a path.
    """

    organization = models.OneToOneField(
        "accounts.Organization", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    name = models.CharField(max_length=NAME_MAX, validators=[validate_name])

    class Meta:
        db_table = "active_group"
        constraints = [
            models.CheckConstraint(
                name="active_group_name_form", condition=Q(name__regex=NAME_FORM)
            ),
        ]

    def __str__(self) -> str:
        return self.name
