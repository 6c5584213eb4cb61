"""Which models a caller sees, under which names: the catalog's ids, or a group's aliases.

What a key may not call is not shown to it. Pure functions of the snapshot.
"""

import msgspec

from accounts.types import Caller
from catalog.types import Model, Snapshot
from ccapi.core.errors import (
    GroupNotFound,
    ModelNotAllowed,
    ModelNotFound,
    NoProviderAvailable,
)
from gateway import ports
from gateway.routing import groups

SHOWN = 200  # characters of a customer's text that an error repeats


class Named(msgspec.Struct, frozen=True):
    """A name to ask for, and the model that would be tried first."""

    name: str
    model: Model


def named(snapshot: Snapshot, caller: Caller, prefix: str) -> list[Named]:
    """All of them, in the order of their bytes.

    A group that there is not has none (CCProxy's answer, too): its name may be another's secret.
    """
    try:
        group = groups.prefix_group(snapshot, caller, prefix)
    except GroupNotFound:
        return []
    found: dict[str, Model] = {}
    if group is None or group.allow_catalog:
        found |= {name: each for name, each in snapshot.models.items() if caller.may_call(name)}
    for alias in group.aliases if group is not None else ():
        model = _first(snapshot, caller, alias.targets)
        if model is not None:
            found[alias.pattern] = model
    return [Named(name, found[name]) for name in sorted(found, key=str.encode)]


def one(snapshot: Snapshot, caller: Caller, prefix: str, name: str) -> Named:
    """What this name means to the caller. Raises: ModelNotFound, also where it is not theirs."""
    for each in named(snapshot, caller, prefix):
        if each.name == name:
            return each
    try:
        model = groups.resolve(snapshot, caller, name, prefix=prefix).models[0]
    except (GroupNotFound, ModelNotFound, ModelNotAllowed, NoProviderAvailable):
        raise _unknown(snapshot, caller, name) from None
    if not caller.may_call(model.id):
        raise _unknown(snapshot, caller, name)
    return Named(model.id if snapshot.bare_names.get(name) == model.id else name, model)


def _first(snapshot: Snapshot, caller: Caller, targets: tuple[str, ...]) -> Model | None:
    known = (snapshot.models[each] for each in targets if each in snapshot.models)
    return next((model for model in known if caller.may_call(model.id)), None)


def _unknown(snapshot: Snapshot, caller: Caller, name: str) -> ModelNotFound:
    shown = name[:SHOWN]
    near = [each for each in ports.near_ids(snapshot, shown) if caller.may_call(each)]
    return ModelNotFound(
        f"There is no model {shown!r}. See GET /v1/models.",
        param="model",
        details={"model": shown, "similar": near},
    )
