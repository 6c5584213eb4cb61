"""Who is calling: the values that other apps see."""

import msgspec

from ccapi.core.limits import UNLIMITED, Limits

__all__ = ["Caller", "Limits", "NewKey"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated API key and its organization. Immutable; at most a few seconds old."""

    organization_id: int
    organization: str  # public id, `org_…`
    key_id: int
    key: str  # public id of the key, `key_…`
    allowed_models: frozenset[str] = frozenset()  # catalog ids; empty: all
    expires_at: float | None = None  # epoch seconds
    limits: Limits = UNLIMITED  # of the organization, over all its keys
    key_limits: Limits = UNLIMITED  # of this key alone, beside those

    def may_call(self, model: str) -> bool:
        """Whether the key's list of allowed models has this catalog id (or has none at all)."""
        return not self.allowed_models or model in self.allowed_models


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made: the only moment at which its secret exists outside the customer's hands."""

    key: str
    secret: str
    organization: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r}, secret=…)"
