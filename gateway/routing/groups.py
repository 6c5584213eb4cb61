"""What a name means: a catalog id, an alias of a group, or a bare name.

Without a prefix: a catalog id, then `group@alias`, then an alias of group `default` (the
organization's, then the platform's), then a bare name. Under a group's prefix: `group@alias`, the
group's aliases, and catalog ids only where the group allows them; so a group isolates. `switch` is
the group that the organization has made active; while that is `default`, it is as no prefix at all.
`group@alias` is one only where the left part is a group that the caller sees.

A group's rules (`rules`) are for requests that it resolves: under its prefix, by `group@`, or by an
alias of `default`. Pure functions of the snapshot.
"""

from collections.abc import Sequence

import msgspec

from accounts.types import Caller
from catalog.types import DEFAULT_GROUP, PLATFORM, Alias, Group, Model, ModelType, Snapshot
from ccapi.core.errors import (
    GroupNotFound,
    ModelNotAllowed,
    ModelNotFound,
    NoProviderAvailable,
)
from gateway import ports
from gateway.routes import SWITCH

SHOWN = 200  # characters of a customer's text that an error repeats


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The models behind a name, in the order in which they are tried.

    `group` is whose rules apply, and `alias` the name without its group, which they look at.
    """

    models: Sequence[Model]
    group: Group | None = None
    alias: str = ""


def resolve(
    snapshot: Snapshot,
    caller: Caller,
    name: str,
    *,
    prefix: str = "",
    seed: int = 0,
    kind: ModelType = "chat",
) -> Resolved:
    """`prefix` is the group of the path, "" for none. The same seed gives the same order.

    Of the targets behind an alias only those of this kind count.

    Raises: GroupNotFound, ModelNotFound, ModelNotAllowed, NoProviderAvailable.
    """
    if not prefix and (model := snapshot.models.get(name)) is not None:
        return Resolved(models=(model,))
    group = prefix_group(snapshot, caller, prefix)
    if "@" in name:
        left, _, alias = name.partition("@")
        other = snapshot.group(caller.organization_id, left)
        if other is not None:
            return _within(snapshot, caller, _enabled(other), alias, seed, kind)
    if group is not None:
        return _within(snapshot, caller, group, name, seed, kind)
    for owner in (caller.organization_id, PLATFORM):
        default = snapshot.groups.get((owner, DEFAULT_GROUP))
        if default is not None and not default.disabled:
            found = _alias(default, name)
            if found is not None:
                return _behind(snapshot, caller, default, found, name, seed, kind)
    return Resolved(models=(ports.resolve(snapshot, name),))


def prefix_group(snapshot: Snapshot, caller: Caller, prefix: str) -> Group | None:
    """The group of a path; None without a prefix, and for `switch` while `default` is active.

    Raises: GroupNotFound.
    """
    if not prefix:
        return None
    name = prefix
    if prefix == SWITCH:
        name = snapshot.active_group(caller.organization_id)
        if name == DEFAULT_GROUP:
            return None
    group = snapshot.group(caller.organization_id, name)
    if group is None:
        active = " It is your organization's active group." if prefix == SWITCH else ""
        raise GroupNotFound(f"There is no group {name[:SHOWN]!r}.{active} See GET /groups.")
    return _enabled(group)


def _enabled(group: Group) -> Group:
    if group.disabled:
        raise GroupNotFound(f"Group {group.name!r} is disabled.")
    return group


def _within(
    snapshot: Snapshot, caller: Caller, group: Group, name: str, seed: int, kind: ModelType
) -> Resolved:
    """A name that means what this group says."""
    alias = _alias(group, name)
    if alias is not None:
        return _behind(snapshot, caller, group, alias, name, seed, kind)
    if group.allow_catalog and "/" in name:
        return Resolved(models=(ports.resolve(snapshot, name),), group=group, alias=name)
    raise ModelNotFound(
        f"Model alias {name[:SHOWN]!r} not found in group {group.name!r}. See GET /groups.",
        param="model",
        details={"model": name[:SHOWN], "group": group.name},
    )


def _alias(group: Group, name: str) -> Alias | None:
    return next((each for each in group.aliases if ports.matches(each.pattern, name)), None)


def _behind(
    snapshot: Snapshot,
    caller: Caller,
    group: Group,
    alias: Alias,
    name: str,
    seed: int,
    kind: ModelType,
) -> Resolved:
    """The targets that can be called by this key: what it may not call is left out."""
    known = [snapshot.models[each] for each in alias.targets if each in snapshot.models]
    models = [model for model in known if model.type == kind]
    if not models:
        raise NoProviderAvailable(f"No model behind {name[:SHOWN]!r} is available at this time.")
    models = [model for model in models if caller.may_call(model.id)]
    if not models:
        raise ModelNotAllowed(f"This API key may call none of the models behind {name[:SHOWN]!r}.")
    if group.balance == "round_robin":
        # Request ids are random below their time: each target comes first equally often.
        first = seed % len(models)
        models = models[first:] + models[:first]
    return Resolved(models=models, group=group, alias=name)
