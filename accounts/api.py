"""The door of `accounts`: who is calling, and how organizations and keys are made.

Other apps import from here and from `accounts.types`, nothing else. Everything but `authenticate`
is synchronous Django.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from accounts import callers, keys
from accounts.credentials import credential
from accounts.defaults import default_limits, register_default_limits
from accounts.models import ApiKey, Membership, Organization, User
from accounts.types import Caller, Limits, NewKey
from ccapi.core.errors import Forbidden, InvalidParameter, KeyNotFound, NotFound
from ccapi.core.limits import UNLIMITED

__all__ = [
    "authenticate",
    "check_manages",
    "create_key",
    "create_organization",
    "credential",
    "default_limits",
    "ensure_admin",
    "key_pk",
    "limits_of",
    "lock_for_change",
    "organization_pk",
    "organizations_of",
    "register_default_limits",
    "revoke_key",
    "set_limits",
    "timezone_of",
]


async def authenticate(secret: str) -> Caller:
    """Who calls with this secret; microseconds where it was seen within the last seconds.

    Raises: Unauthorized, KeyExpired, KeyRevoked, AccountSuspended; BillingUnavailable while
    PostgreSQL is away and what it said last is older than a minute.
    """
    return await callers.memory().authenticate(secret)


@transaction.atomic
def create_organization(
    name: str, email: str, *, public_id: str | None = None, limits: Limits | None = None
) -> str:
    """Make an organization owned by the person with this address; returns its public id.

    A person who is new has no usable password until one is set. `limits` are over all its keys;
    None: the platform's defaults for a new organization.
    Raises: InvalidParameter, naming the field.
    """
    limits = default_limits() if limits is None else limits
    organization = Organization(name=name.strip(), **msgspec.structs.asdict(limits))
    if public_id is not None:
        organization.public_id = public_id
    try:
        organization.full_clean()
        owner = User.objects.filter(email=email).first() or User.objects.create_user(email)
    except ValidationError as error:
        raise _refused(error) from error
    organization.save()
    Membership.objects.create(organization=organization, user=owner, role=Membership.Role.OWNER)
    return organization.public_id


def organization_pk(public_id: str) -> int:
    """The primary key behind `org_…`. Raises: NotFound."""
    return _organization(public_id).pk


def organizations_of(user_id: int) -> list[tuple[int, str]]:
    """Primary key and name of each organization that this person belongs to, by name."""
    mine = Organization.objects.filter(memberships__user=user_id)
    return list(mine.exclude(status=Organization.Status.CLOSED).values_list("pk", "name"))


def key_pk(organization_id: int, public_id: str) -> int | None:
    """The primary key behind `key_…`, if that key is this organization's."""
    found = ApiKey.objects.filter(organization_id=organization_id, public_id=public_id)
    return found.values_list("pk", flat=True).first()


def timezone_of(organization_id: int) -> str:
    """The name of the time zone in which this organization counts its days."""
    return Organization.objects.values_list("timezone", flat=True).get(pk=organization_id)


def create_key(
    organization_public_id: str,
    *,
    name: str,
    allowed_models: Iterable[str] = (),
    allowed_ips: Iterable[str] = (),
    expires_at: datetime | None = None,
    created_by: int | None = None,
    limits: Limits = UNLIMITED,
    manages_keys: bool = False,
) -> NewKey:
    """Make a key; the answer is the only place where its secret ever stands.

    `allowed_ips` are networks that it may be used from (empty: all); `created_by` is the primary
    key of a user; `limits` are this key's, beside the organization's; `manages_keys`: whether it
    may make and change keys over the API (`accounts.keyring`).
    Raises: NotFound, InvalidParameter.
    """
    organization = _organization(organization_public_id)
    secret = keys.make()
    key = ApiKey(
        organization=organization,
        name=name.strip(),
        prefix=secret.prefix,
        last4=secret.last4,
        mac=keys.mac(secret.text, settings.CCAPI_KEY_PEPPER),
        allowed_models=sorted(set(allowed_models)),
        allowed_ips=sorted(set(allowed_ips)),
        expires_at=expires_at,
        created_by_id=created_by,
        manages_keys=manages_keys,
        **msgspec.structs.asdict(limits),
    )
    try:
        key.full_clean()
    except ValidationError as error:
        raise _refused(error) from error
    key.save()
    return NewKey(key=key.public_id, secret=secret.text, organization=organization.public_id)


@transaction.atomic
def set_limits(organization_public_id: str, limits: Limits) -> None:
    """Limit an organization, over all its keys; acts in every process within a second.

    Raises: NotFound, InvalidParameter.
    """
    organization = _organization(organization_public_id)
    for name, value in msgspec.structs.asdict(limits).items():
        setattr(organization, name, value)
    try:
        organization.full_clean()
    except ValidationError as error:
        raise _refused(error) from error
    organization.save(update_fields=limits.__struct_fields__)
    callers.announce()


def limits_of(organization_public_id: str) -> Limits:
    """The limits of an organization, over all its keys. Raises: NotFound."""
    row = _organization(organization_public_id)
    return Limits(rpm=row.rpm, tpm=row.tpm, concurrent=row.concurrent)


@transaction.atomic
def revoke_key(key_public_id: str) -> None:
    """Refuse this key from now on, in every process within a second. Again: changes nothing.

    Raises: NotFound.
    """
    key = ApiKey.objects.filter(public_id=key_public_id)
    if not key.filter(revoked_at=None).update(revoked_at=Now()) and not key.exists():
        raise KeyNotFound(f"There is no key {key_public_id!r}.")
    callers.announce()


def lock_for_change(caller: Caller) -> None:
    """Wait for this organization's turn to change what is its own, until the transaction ends.

    Raises: Forbidden, if the key that asks may not manage keys.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=caller.organization_id)
    check_manages(caller)


def check_manages(caller: Caller) -> None:
    """That this key may see and change what is the organization's. Raises: Forbidden."""
    if not ApiKey.objects.filter(pk=caller.key_id, revoked_at=None, manages_keys=True).exists():
        raise Forbidden(
            "This key may not see or change what is the organization's. Use its first key, or one"
            " that was made with manages_keys."
        )


def ensure_admin(email: str, password: str) -> None:
    """A superuser with this address and password, whatever stood there before."""
    user = User.objects.filter(email=email).first()
    if user is None:
        User.objects.create_superuser(email, password)
        return
    user.is_active = user.is_staff = user.is_superuser = True
    if not user.check_password(password):
        user.set_password(password)
    user.save()


def _organization(public_id: str) -> Organization:
    organization = Organization.objects.filter(public_id=public_id).first()
    if organization is None:
        raise NotFound(f"There is no organization {public_id!r}.")
    return organization


def _refused(error: ValidationError) -> InvalidParameter:
    field, messages = next(iter(error.message_dict.items()))
    if field == "__all__":
        return InvalidParameter(" ".join(messages))
    return InvalidParameter(f"{field}: {' '.join(messages)}", param=field)
