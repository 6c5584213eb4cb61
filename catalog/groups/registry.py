"""Groups as one organization sees and changes them over the API.

It sees its own and the platform's; only its own can be changed, by a key that manages keys, and
either can be made active. Where names meet, its own is meant. Another organization's group does
not exist here. Changes of one organization take turns. They act in every process within a second:
nobody is woken, so that a customer's haste costs no other customer anything.
"""

from django.db import transaction

from accounts.api import lock_for_change
from accounts.types import Caller
from catalog.file.entries import GroupEntry
from catalog.groups import store
from catalog.groups.models import ActiveGroup, Group
from catalog.groups.names import GROUPS_MAX
from catalog.types import DEFAULT_GROUP
from ccapi.core.errors import Forbidden, GroupNotFound, InvalidParameter

SHOWN = 64  # characters of a customer's text that an error repeats


def visible(caller: Caller) -> list[Group]:
    """Its own, then those of the platform whose names it has not taken; each by name."""
    own = list(store.of_organization(caller.organization_id))
    taken = {row.name for row in own}
    return own + [row for row in store.of_platform() if row.name not in taken]


def find(caller: Caller, name: str) -> Group:
    """Raises: GroupNotFound."""
    own = store.of_organization(caller.organization_id).filter(name=name).first()
    found = own or store.of_platform().filter(name=name).first()
    if found is None:
        raise GroupNotFound(f"There is no group {name[:SHOWN]!r}. See GET /groups.")
    return found


def active(caller: Caller) -> str:
    row = ActiveGroup.objects.filter(organization_id=caller.organization_id).first()
    return row.name if row is not None else DEFAULT_GROUP


@transaction.atomic
def create(caller: Caller, entry: GroupEntry) -> Group:
    """Raises: Forbidden, InvalidParameter."""
    lock_for_change(caller)
    own = store.of_organization(caller.organization_id)
    if own.filter(name=entry.name).exists():
        raise InvalidParameter(
            f"name: there is a group {entry.name!r} already. PUT /groups/{entry.name} changes it.",
            param="name",
        )
    if own.count() >= GROUPS_MAX:
        raise Forbidden(f"There are {GROUPS_MAX} groups, the most there can be. Delete some first.")
    return _saved(caller, entry)


@transaction.atomic
def change(caller: Caller, name: str, entry: GroupEntry) -> Group:
    """Raises: Forbidden, GroupNotFound, InvalidParameter."""
    lock_for_change(caller)
    _own(caller, name)
    if entry.name != name:
        raise InvalidParameter(
            f"name: a group keeps its name, {name!r}, for good. Make another one.", param="name"
        )
    return _saved(caller, entry)


@transaction.atomic
def delete(caller: Caller, name: str) -> Group:
    """The group as it was. `default` is active again if this one was, and no other has its name.

    Raises: Forbidden, GroupNotFound.
    """
    lock_for_change(caller)
    row = _own(caller, name)
    gone = Group.objects.prefetch_related("aliases").get(pk=row.pk)
    list(gone.aliases.all())
    row.delete()
    if active(caller) == name and not store.of_platform().filter(name=name).exists():
        _deactivate(caller)
    return gone


@transaction.atomic
def activate(caller: Caller, name: str) -> None:
    """What `/switch/…` means from now on; `default` can be meant before there is one.

    Raises: Forbidden, GroupNotFound, InvalidParameter.
    """
    lock_for_change(caller)
    if name == DEFAULT_GROUP:
        _deactivate(caller)
        return
    if find(caller, name).disabled:
        raise InvalidParameter(f"Group {name!r} is disabled. Enable it first.", param="name")
    if active(caller) != name:
        ActiveGroup.objects.update_or_create(
            organization_id=caller.organization_id, defaults={"name": name}
        )


def _deactivate(caller: Caller) -> None:
    # Asked first, since a DELETE of nothing counts as a change of the catalog, too.
    row = ActiveGroup.objects.filter(organization_id=caller.organization_id).first()
    if row is not None:
        row.delete()


def _saved(caller: Caller, entry: GroupEntry) -> Group:
    """Raises: InvalidParameter, naming the alias of a target that is no model."""
    for path, target in store.unknown_targets([entry], only_enabled=True):
        field = ".".join(map(str, path))
        raise InvalidParameter(f"{field}: there is no model {target!r}.", param=field)
    store.save(entry, organization_id=caller.organization_id)
    return find(caller, entry.name)


def _own(caller: Caller, name: str) -> Group:
    """Raises: GroupNotFound, Forbidden for the platform's."""
    row = store.of_organization(caller.organization_id).filter(name=name).first()
    if row is None:
        found = find(caller, name)
        raise Forbidden(
            f"Group {found.name!r} is the platform's and cannot be changed. POST /groups makes one"
            " of your own, also of that name."
        )
    return row
