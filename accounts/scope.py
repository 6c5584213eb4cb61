"""What a key may do, and the one rule of keys that make keys: no key gives more than it has.

Plain values and comparisons; who asks and where it is kept is `accounts.keyring`.
"""

from datetime import datetime

import msgspec

from accounts.types import Limits
from ccapi.core import peer


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a key. `allowed_models` empty: all; a limit of 0: the organization's alone."""

    allowed_models: frozenset[str] = frozenset()
    allowed_ips: tuple[str, ...] = ()  # networks; empty: from everywhere
    limits: Limits = Limits()
    expires_at: datetime | None = None
    manages_keys: bool = False


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """Where one scope reaches beyond another: the field, and what it may be at most."""

    param: str
    reason: str


def excess(child: Scope, creator: Scope) -> Excess | None:
    """The first field in which `child` may more than `creator`; None if it may not.

    Limits hold for each key on its own: what bounds all of them together is the organization's.
    """
    if creator.allowed_models:
        beyond = sorted(child.allowed_models - creator.allowed_models)
        if beyond or not child.allowed_models:
            what = repr(beyond[0]) if beyond else "every model (an empty list)"
            return Excess(
                param="allowed_models", reason=f"the key that you use may not call {what}"
            )
    if creator.allowed_ips:
        within = [peer.network(each) for each in creator.allowed_ips]
        outside = [each for each in child.allowed_ips if not _lies_in(each, within)]
        if outside or not child.allowed_ips:
            where = outside[0] if outside else "everywhere (an empty list)"
            return Excess(
                param="allowed_ips", reason=f"the key that you use may not be used from {where}"
            )
    for name, most in msgspec.structs.asdict(creator.limits).items():
        wanted = getattr(child.limits, name)
        if most and (not wanted or wanted > most):
            return Excess(
                param=f"limits.{name}",
                reason=f"the key that you use has {most}: send 1 to {most}, not {wanted}",
            )
    ends = creator.expires_at
    if ends is not None and (child.expires_at is None or child.expires_at > ends):
        return Excess(
            param="expires_at", reason=f"the key that you use expires at {ends:%Y-%m-%dT%H:%M:%SZ}"
        )
    if child.manages_keys and not creator.manages_keys:
        return Excess(param="manages_keys", reason="the key that you use may not manage keys")
    return None


def _lies_in(text: str, networks: list[peer.Network]) -> bool:
    inner = peer.network(text)
    bounds = (int(inner.network_address), int(inner.broadcast_address))
    return any(
        inner.version == outer.version
        and int(outer.network_address) <= bounds[0]
        and bounds[1] <= int(outer.broadcast_address)
        for outer in networks
    )
