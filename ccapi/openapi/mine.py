"""What a person who has logged in sees of their own: groups, aliases, and lines to copy.

A person belongs to organizations; a group is an organization's or everybody's. Who the person is
the session says, which is not asked here.
"""

import shlex

import msgspec

from accounts import api as accounts
from catalog import api as catalog
from catalog.types import DEFAULT_GROUP, Alias, Group

ALIASES_SHOWN = 50  # of one group; the API tells the rest


class Line(msgspec.Struct, frozen=True):
    name: str
    code: str


class ShownGroup(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    prefix: str  # of its paths; "" for `default`
    is_active: bool
    is_own: bool
    is_disabled: bool
    allows_catalog: bool
    by_turns: bool
    aliases: tuple[Alias, ...]
    more: int  # aliases that are not shown
    settings: tuple[Line, ...]


class ShownOrganization(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    active: str  # what `/switch/…` means
    groups: tuple[ShownGroup, ...]  # the active one first


def organizations(user_id: int, origin: str) -> list[ShownOrganization]:
    """Those that this person belongs to; `origin` is `https://host`, as they have called us."""
    mine = accounts.organizations_of(user_id)
    if not mine:
        return []
    snapshot = catalog.current_sync()
    return [
        _organization(name, snapshot.groups_of(pk), snapshot.active_group(pk), origin)
        for pk, name in mine
    ]


def _organization(name: str, groups: list[Group], active: str, origin: str) -> ShownOrganization:
    shown = [_group(each, active, origin) for each in groups]
    shown.sort(key=lambda group: (not group.is_active, not group.is_own))
    return ShownOrganization(name=name, active=active, groups=tuple(shown))


def _group(group: Group, active: str, origin: str) -> ShownGroup:
    prefix = "" if group.name == DEFAULT_GROUP else f"/{group.name}"
    return ShownGroup(
        name=group.name,
        prefix=prefix,
        is_active=group.name == active,
        is_own=group.organization_id is not None,
        is_disabled=group.disabled,
        allows_catalog=group.allow_catalog or not prefix,
        by_turns=group.balance == "round_robin",
        aliases=group.aliases[:ALIASES_SHOWN],
        more=max(0, len(group.aliases) - ALIASES_SHOWN),
        settings=_settings(origin + prefix, _example(group)),
    )


def _example(group: Group) -> str:
    """A name that a client can ask for: the first alias that is one and no pattern of many."""
    names = [each.pattern for each in group.aliases if not set(each.pattern) & set("*?")]
    return names[0] if names else ""


def _settings(base: str, model: str) -> tuple[Line, ...]:
    """`base` is where the group begins; no model is named where none has a name of its own."""
    claude = [f"export ANTHROPIC_BASE_URL={base}", "export ANTHROPIC_AUTH_TOKEN=$CCAPI_KEY"]
    gemini = [f"export GOOGLE_GEMINI_BASE_URL={base}", "export GEMINI_API_KEY=$CCAPI_KEY"]
    if model:
        # A customer's text on its way into somebody's shell.
        claude.append(f"export ANTHROPIC_MODEL={shlex.quote(model)}")
        gemini.append(f"export GEMINI_MODEL={shlex.quote(model)}")
    return (
        Line("OpenAI's clients", f"{base}/v1"),
        Line("Claude's, Gemini's and Ollama's", base),
        Line("Claude Code", "\n".join(claude)),
        Line("Gemini CLI", "\n".join(gemini)),
    )
