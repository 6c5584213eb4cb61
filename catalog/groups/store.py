"""Groups in the database: stated whole by an entry, and told again in the form of the file.

A group that is stored as it stands already is not written. Who may is asked elsewhere.
"""

from collections.abc import Iterable
from typing import Literal

from django.db.models import QuerySet

from catalog.file.entries import AliasEntry, GroupEntry
from catalog.file.reading import Path
from catalog.groups.models import Alias, Group
from catalog.models import Model

Outcome = Literal["created", "updated", "unchanged"]


def of_platform() -> QuerySet[Group]:
    return Group.objects.filter(organization=None).prefetch_related("aliases")


def of_organization(organization_id: int) -> QuerySet[Group]:
    """The only way to an organization's own groups."""
    return Group.objects.filter(organization_id=organization_id).prefetch_related("aliases")


def unknown_targets(
    entries: Iterable[GroupEntry], *, only_enabled: bool = False
) -> list[tuple[Path, str]]:
    """Targets that are no model of the catalog, and where they stand."""
    wanted = [
        (alias.path, target)
        for entry in entries
        for alias in entry.aliases
        for target in alias.targets
    ]
    known = Model.objects.filter(catalog_id__in={target for _, target in wanted})
    if only_enabled:
        known = known.filter(enabled=True)
    found = set(known.values_list("catalog_id", flat=True))
    return [(path, target) for path, target in wanted if target not in found]


def save(entry: GroupEntry, *, organization_id: int | None) -> Outcome:
    """Exactly this group. Its targets are known (`unknown_targets`)."""
    owned = of_platform() if organization_id is None else of_organization(organization_id)
    row = owned.filter(name=entry.name).first()
    if row is None:
        row = Group.objects.create(
            organization_id=organization_id, name=entry.name, **entry.columns
        )
        _save_aliases(row, entry.aliases)
        return "created"
    changed = [name for name, value in entry.columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, entry.columns[name])
    if changed:
        row.save(update_fields=changed)
    return "updated" if _save_aliases(row, entry.aliases) or changed else "unchanged"


def _save_aliases(row: Group, entries: tuple[AliasEntry, ...]) -> bool:
    """Exactly these, in this order; False where they stand already."""
    stand = [(alias.pattern, tuple(alias.targets)) for alias in row.aliases.all()]
    if stand == [(entry.pattern, entry.targets) for entry in entries]:
        return False
    row.aliases.all().delete()
    Alias.objects.bulk_create(
        Alias(group=row, position=at, pattern=entry.pattern, targets=list(entry.targets))
        for at, entry in enumerate(entries)
    )
    return True


def plain(row: Group) -> dict[str, object]:
    """A group as the catalog file has it."""
    return {
        "name": row.name,
        "aliases": {alias.pattern: alias.targets for alias in row.aliases.all()},
        "balance": row.balance,
        "disabled": row.disabled,
        "allow_catalog": row.allow_catalog,
        "inject": row.inject,
        "tool_compat": row.tool_compat,
        "prompt_injection": row.prompt_injection,
        "prompt_text": row.prompt_text,
        "prompt_position": row.prompt_position,
        "prompt_replace": row.prompt_replace,
        "inject_for": row.inject_for,
        "tool_filter": row.tool_filter,
        "temperature_ratio": row.temperature_ratio,
    }
