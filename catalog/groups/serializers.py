"""What goes in and out of `/groups`: shapes here, the rest by the reader of the catalog file."""

from typing import Any

from rest_framework import serializers

from catalog.file import groups as form
from catalog.file.entries import GroupEntry
from catalog.file.reading import Section, Source
from catalog.groups import names, store
from catalog.groups.models import Group
from ccapi.core.strict import Answer, Flag, StrictSerializer, Text


class Ratio(serializers.FloatField):
    """A number; neither a string nor a truth value is one."""

    def to_internal_value(self, data: Any) -> float:  # noqa: ANN401 — JSON is anything
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class ReplaceSerializer(StrictSerializer):
    """A literal replacement in the client's system prompt."""

    key = Text(max_length=names.REPLACE_KEY_MAX, trim_whitespace=False)
    value = Text(max_length=names.REPLACE_VALUE_MAX, trim_whitespace=False, allow_blank=True)


class GroupChangeSerializer(StrictSerializer):
    """A group of the catalog file, stated whole: what is not named has its default."""

    name = Text(max_length=names.NAME_MAX, required=False, help_text="The segment of its path.")
    aliases = serializers.DictField(
        child=serializers.ListField(
            child=Text(max_length=200), min_length=1, max_length=names.TARGETS_MAX
        ),
        required=False,
        help_text="Patterns (`*`, `?`) of names that clients ask for, and the catalog ids that "
        "each means, in order. The first pattern that matches counts.",
    )
    balance = serializers.ChoiceField(form.BALANCES, required=False)
    disabled = Flag(required=False)
    allow_catalog = Flag(
        required=False, help_text="Whether catalog ids work under this prefix too."
    )
    inject = serializers.ChoiceField(
        form.INJECTS, required=False, help_text="Which requests the prompt is for."
    )
    tool_compat = serializers.ChoiceField(
        form.TOOL_COMPATS, required=False, help_text="Whether tools are told in the prompt."
    )
    prompt_injection = serializers.ChoiceField(form.INJECTIONS, required=False)
    prompt_text = Text(
        max_length=names.PROMPT_MAX, required=False, allow_blank=True, trim_whitespace=False
    )
    prompt_position = serializers.ChoiceField(form.POSITIONS, required=False)
    prompt_replace = serializers.ListField(
        child=ReplaceSerializer(), max_length=names.REPLACES_MAX, required=False
    )
    inject_for = serializers.ListField(
        child=Text(max_length=names.PATTERN_MAX),
        max_length=names.PATTERNS_MAX,
        required=False,
        help_text="Patterns of aliases that the prompt is for; empty: all.",
    )
    tool_filter = serializers.ListField(
        child=Text(max_length=names.PATTERN_MAX), max_length=names.TOOLS_MAX, required=False
    )
    temperature_ratio = Ratio(min_value=0, max_value=names.RATIO_MAX, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """By the same reader as the file's. Raises: ValidationError, naming the field."""
        name = self.context.get("name", "")
        source = Source()
        entry = form.read_group(Section({"name": name, **attrs}, (), source))
        if source.problems:
            raise serializers.ValidationError(
                {problem.field: [problem.message] for problem in source.problems}
            )
        return {"entry": entry}


class GroupCreateSerializer(GroupChangeSerializer):
    name = Text(max_length=names.NAME_MAX, help_text="The segment of its path, for good.")


def entry_of(serializer: GroupChangeSerializer) -> GroupEntry:
    """Raises: ValidationError."""
    serializer.is_valid(raise_exception=True)
    entry: GroupEntry = serializer.validated_data["entry"]
    return entry


class GroupSerializer(Answer):
    """A group, as a body takes it, and whose it is."""

    name = serializers.CharField()
    platform = serializers.BooleanField(help_text="The platform's: seen, and not changed.")
    active = serializers.BooleanField(help_text="Whether `/switch/…` means this group.")
    aliases = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    balance = serializers.ChoiceField(form.BALANCES)
    disabled = serializers.BooleanField()
    allow_catalog = serializers.BooleanField()
    inject = serializers.ChoiceField(form.INJECTS)
    tool_compat = serializers.ChoiceField(form.TOOL_COMPATS)
    prompt_injection = serializers.ChoiceField(form.INJECTIONS)
    prompt_text = serializers.CharField()
    prompt_position = serializers.ChoiceField(form.POSITIONS)
    prompt_replace = ReplaceSerializer(many=True)
    inject_for = serializers.ListField(child=serializers.CharField())
    tool_filter = serializers.ListField(child=serializers.CharField())
    temperature_ratio = serializers.FloatField()

    def to_representation(self, instance: Group) -> dict[str, object]:
        active: str = self.context["active"]
        return {
            **store.plain(instance),
            "platform": instance.organization_id is None,
            "active": instance.name == active,
        }


class GroupListSerializer(Answer):
    object = serializers.CharField(default="list")
    active = serializers.CharField(help_text="What `/switch/…` means.")
    data = GroupSerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash


class ActiveGroupSerializer(Answer):
    object = serializers.CharField(default="active_group")
    active = serializers.CharField(help_text="What `/switch/…` means from now on.")
