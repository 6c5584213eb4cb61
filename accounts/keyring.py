"""The keys of one organization, as one of them sees and changes them over the API.

A key sees itself. One that `manages_keys` sees all keys of its organization, and may make, change,
rotate and revoke those that can do no more than it can itself (`accounts.scope`): otherwise it
could take a stronger key over by rotating it. The first key of an organization has that right, and
others that an operator gives it; over the API it is passed on only when asked for. Another
organization's key does not exist here.

Changes of one organization's keys take turns, by a lock on its row.
"""

import re
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import api, callers, keys
from accounts.models import ApiKey, Organization
from accounts.scope import Scope, excess
from accounts.types import Caller, Limits
from ccapi.core.errors import Forbidden, InvalidParameter, InvalidRequest, KeyNotFound, KeyRevoked

KEYS_MAX = 1_000  # keys of an organization that are not revoked
ID = re.compile(r"key_[0-9A-Za-z_]{1,60}", re.ASCII)
LISTS = ("allowed_models", "allowed_ips")  # without an order: kept sorted
SHOWN = 64  # characters of a customer's text that an error repeats


def page(caller: Caller, *, limit: int, after: str | None) -> tuple[list[ApiKey], str | None]:
    """Keys, newest first, from the one after `after`; and the id to go on after, if more follow.

    Raises: InvalidParameter.
    """
    found = _visible(caller)
    if after is not None:
        last = found.filter(public_id=after).first() if ID.fullmatch(after) else None
        if last is None:
            raise InvalidParameter(
                "cursor: this is none of ours. Send the next_cursor of the page before.",
                param="cursor",
            )
        found = found.filter(pk__lt=last.pk)
    rows = list(found.order_by("-pk")[: limit + 1])
    return rows[:limit], rows[limit - 1].public_id if len(rows) > limit else None


def find(caller: Caller, key_id: str) -> ApiKey:
    """Raises: KeyNotFound."""
    return _found(_visible(caller), key_id)


@transaction.atomic
def create(caller: Caller, *, name: str, **bounds: Any) -> tuple[ApiKey, str]:  # noqa: ANN401
    """Make a key and tell its secret.

    `bounds` are fields of `Scope` (`limits` by name); what is not given is the creator's, except
    that the right to manage keys must be asked for.
    Raises: Forbidden, KeyRevoked, InvalidParameter.
    """
    actor = _manager(caller)
    own = scope_of(actor)
    limits = msgspec.structs.replace(own.limits, **_numbers(bounds.pop("limits", {})))
    bounds["allowed_ips"] = tuple(bounds.get("allowed_ips", own.allowed_ips))
    models = frozenset(bounds.pop("allowed_models", own.allowed_models))
    bounds = {"manages_keys": False, **bounds}
    scope = msgspec.structs.replace(own, allowed_models=models, limits=limits, **bounds)
    _check(scope, actor)
    live = ApiKey.objects.filter(organization=actor.organization_id, revoked_at=None)
    if live.count() >= KEYS_MAX:
        raise Forbidden(f"There are {KEYS_MAX} keys, the most there can be. Revoke some first.")
    made = api.create_key(
        caller.organization,
        name=name,
        allowed_models=scope.allowed_models,
        allowed_ips=scope.allowed_ips,
        expires_at=scope.expires_at,
        limits=scope.limits,
        manages_keys=scope.manages_keys,
    )
    return ApiKey.objects.get(public_id=made.key), made.secret


@transaction.atomic
def change(caller: Caller, key_id: str, **columns: Any) -> ApiKey:  # noqa: ANN401 — by column
    """Change `name`, `allowed_models`, `allowed_ips`, `expires_at` and `limits` (by name).

    Raises: Forbidden, KeyNotFound, KeyRevoked, InvalidRequest, InvalidParameter.
    """
    limits = _numbers(columns.pop("limits", {}))
    columns |= limits
    actor = _manager(caller)
    key = _within(actor, key_id)
    _not_revoked(key)
    for column, value in columns.items():
        setattr(key, column, sorted(value) if column in LISTS else value)
    _check(scope_of(key), actor)
    if columns:
        key.save(update_fields=list(columns))
        callers.announce()
    return key


@transaction.atomic
def rotate(caller: Caller, key_id: str, *, overlap_s: int) -> tuple[ApiKey, str]:
    """Give a key a new secret; the one before is good for `overlap_s` more, any older one is not.

    Raises: Forbidden, KeyNotFound, KeyRevoked, InvalidRequest.
    """
    key = _within(_manager(caller), key_id)
    _not_revoked(key)
    secret = keys.make()
    key.old_mac, key.old_mac_until = key.mac, timezone.now() + timedelta(seconds=overlap_s)
    key.mac = keys.mac(secret.text, settings.CCAPI_KEY_PEPPER)
    key.prefix, key.last4 = secret.prefix, secret.last4
    key.save(update_fields=["old_mac", "old_mac_until", "mac", "prefix", "last4"])
    callers.announce()
    return key, secret.text


@transaction.atomic
def revoke(caller: Caller, key_id: str) -> ApiKey:
    """Refuse a key from now on, for good. Again: changes nothing.

    Raises: Forbidden, KeyNotFound, KeyRevoked.
    """
    key = _within(_manager(caller), key_id)
    api.revoke_key(key.public_id)
    key.refresh_from_db(fields=["revoked_at"])
    return key


def scope_of(key: ApiKey) -> Scope:
    limits = Limits(rpm=key.rpm or 0, tpm=key.tpm or 0, concurrent=key.concurrent or 0)
    return Scope(
        allowed_models=frozenset(key.allowed_models),
        allowed_ips=tuple(key.allowed_ips),
        limits=limits,
        expires_at=key.expires_at,
        manages_keys=key.manages_keys,
    )


def _visible(caller: Caller) -> QuerySet[ApiKey]:
    """The only way to a key here: the caller's own, and its organization's if it manages them."""
    found = ApiKey.objects.filter(organization=caller.organization_id)
    if found.filter(pk=caller.key_id, manages_keys=True).exists():
        return found
    return found.filter(pk=caller.key_id)


def _found(visible: QuerySet[ApiKey], key_id: str) -> ApiKey:
    key = visible.filter(public_id=key_id).first() if ID.fullmatch(key_id) else None
    if key is None:
        raise KeyNotFound(f"There is no key {key_id[:SHOWN]!r}.")
    return key


def _manager(caller: Caller) -> ApiKey:
    """The acting key, once it is this organization's turn. Raises: Forbidden, KeyRevoked."""
    Organization.objects.select_for_update(no_key=True).get(pk=caller.organization_id)
    actor = ApiKey.objects.get(pk=caller.key_id)
    if actor.revoked_at is not None:  # meanwhile
        raise KeyRevoked("This API key has been revoked. Use another one.")
    if not actor.manages_keys:
        raise Forbidden(
            "This key may not manage keys. Use the organization's first key, or one that was made "
            "with manages_keys."
        )
    return actor


def _within(actor: ApiKey, key_id: str) -> ApiKey:
    """A key that the actor may act upon. Raises: KeyNotFound, Forbidden."""
    key = _found(ApiKey.objects.filter(organization=actor.organization_id), key_id)
    beyond = excess(scope_of(key), scope_of(actor))
    if beyond is not None:
        raise Forbidden(
            f"Key {key.public_id} may do more than the key that you use ({beyond.param}: "
            f"{beyond.reason}). Use a key that may do as much."
        )
    return key


def _check(scope: Scope, actor: ApiKey) -> None:
    """Raises: InvalidParameter, naming the field."""
    beyond = excess(scope, scope_of(actor))
    if beyond is not None:
        raise InvalidParameter(f"{beyond.param}: {beyond.reason}.", param=beyond.param)


def _not_revoked(key: ApiKey) -> None:
    if key.revoked_at is not None:
        raise InvalidRequest(f"Key {key.public_id} is revoked, for good. Make another one.")


def _numbers(limits: dict[str, int | None]) -> dict[str, int]:
    """Null is 0: the organization's limit alone."""
    return {name: value or 0 for name, value in limits.items()}
