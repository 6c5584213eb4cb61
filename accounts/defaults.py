"""A hook for the limits of a new organization: filled by the app that keeps them, asked here."""

from collections.abc import Callable

from accounts.types import Limits
from ccapi.core.limits import UNLIMITED

_defaults: Callable[[], Limits] | None = None


def register_default_limits(defaults: Callable[[], Limits]) -> None:
    """From now on `defaults` answers (the last one registered counts). For an app that is ready."""
    global _defaults  # noqa: PLW0603 — one hook a process
    _defaults = defaults


def default_limits() -> Limits:
    """What a new organization gets whose maker names no limits."""
    return _defaults() if _defaults is not None else UNLIMITED
