"""Who is limited: a key, an organization, a provider, each with its names on Valkey.

Names that one script call uses share a hash tag, so that a Valkey Cluster keeps them together.
"""

from typing import Literal

import msgspec

from accounts.types import Caller
from catalog.types import Provider
from ccapi.core.limits import Limits

Kind = Literal["key", "organization", "provider"]


class Subject(msgspec.Struct, frozen=True):
    kind: Kind
    meters: str  # name of the hash
    slots: str  # name of the sorted set
    limits: Limits


def _subject(kind: Kind, name: str, limits: Limits) -> Subject:
    return Subject(kind, f"ccapi:{name}:meters", f"ccapi:{name}:slots", limits)


def of_caller(caller: Caller) -> tuple[Subject, ...]:
    """The caller's key and organization, where they have limits."""
    tag = f"{{{caller.organization}}}"
    subjects = []
    if caller.key_limits:
        subjects.append(_subject("key", f"{tag}:{caller.key}", caller.key_limits))
    if caller.limits:
        subjects.append(_subject("organization", tag, caller.limits))
    return tuple(subjects)


def of_provider(provider: Provider) -> tuple[Subject, ...]:
    """The provider, where it is known what it grants us."""
    if not provider.limits:
        return ()
    return (_subject("provider", f"{{provider:{provider.name}}}", provider.limits),)
