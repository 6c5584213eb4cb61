"""The admin's pages for groups and their aliases, and for the active group of an organization."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from catalog.announcing import Announcing
from catalog.groups.models import ActiveGroup, Alias, Group
from catalog.groups.names import ALIASES_MAX
from catalog.models import Model

if TYPE_CHECKING:
    AliasRows = admin.TabularInline[Alias, Group]
    AliasBase = forms.ModelForm[Alias]
else:  # the real classes take no type parameters
    AliasRows = admin.TabularInline
    AliasBase = forms.ModelForm


class AliasForm(AliasBase):
    targets = SimpleArrayField(
        forms.CharField(max_length=200),
        widget=forms.TextInput(attrs={"class": "vTextField", "size": 80}),
        help_text="Catalog ids in their order, with commas between.",
    )

    class Meta:
        model = Alias
        fields = ("position", "pattern", "targets")

    def clean_targets(self) -> list[str]:
        targets: list[str] = self.cleaned_data["targets"]
        known = set(
            Model.objects.filter(catalog_id__in=targets).values_list("catalog_id", flat=True)
        )
        for target in targets:
            if target not in known:
                raise ValidationError(f"There is no model {target!r}.")
        if len(set(targets)) < len(targets):
            raise ValidationError("A target stands here twice.")
        return targets


class AliasesOfGroup(AliasRows):
    model = Alias
    form = AliasForm
    extra = 1
    max_num = ALIASES_MAX
    verbose_name_plural = "Aliases: the first whose pattern matches counts"


@admin.register(Group)
class GroupAdmin(Announcing):
    list_display = ("name", "owner", "state", "alias_count", "balance", "tool_compat")
    list_filter = (
        ("organization", admin.EmptyFieldListFilter),
        "disabled",
        "tool_compat",
        "prompt_injection",
    )
    list_select_related = ("organization",)
    search_fields = ("name", "organization__name", "organization__public_id")
    autocomplete_fields = ("organization",)
    inlines = (AliasesOfGroup,)
    fieldsets = (
        (None, {"fields": ("organization", "name", "disabled", "allow_catalog", "balance")}),
        (
            "Prompt",
            {
                "fields": (
                    "prompt_injection",
                    "prompt_text",
                    "prompt_position",
                    "inject",
                    "inject_for",
                    "prompt_replace",
                )
            },
        ),
        ("Tools and sampling", {"fields": ("tool_compat", "tool_filter", "temperature_ratio")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        found: QuerySet[Group] = (
            super().get_queryset(request).annotate(alias_count=Count("aliases"))
        )
        return found

    def get_readonly_fields(
        self, _request: HttpRequest, obj: Group | None = None
    ) -> tuple[str, ...]:
        # A client that still uses an old name must not reach what somebody else makes of it.
        return ("organization", "name") if obj else ()

    @admin.display(description="of", ordering="organization")
    def owner(self, group: Group) -> str:
        return str(group.organization) if group.organization else "the platform"

    @admin.display(description="state", ordering="disabled")
    def state(self, group: Group) -> str:
        return "disabled" if group.disabled else "enabled"

    @admin.display(description="aliases", ordering="alias_count")
    def alias_count(self, group: Any) -> int:  # noqa: ANN401 — annotated by get_queryset
        return int(group.alias_count)


@admin.register(ActiveGroup)
class ActiveGroupAdmin(Announcing):
    """Which group `/switch/…` means for an organization; without a row, `default`."""

    list_display = ("organization", "name")
    list_select_related = ("organization",)
    search_fields = ("name", "organization__name", "organization__public_id")
    autocomplete_fields = ("organization",)

    def get_readonly_fields(
        self, _request: HttpRequest, obj: ActiveGroup | None = None
    ) -> tuple[str, ...]:
        return ("organization",) if obj else ()
