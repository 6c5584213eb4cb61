"""A hook for what is measured of a provider: filled by the app that keeps usage, asked by views."""

from collections.abc import Callable

from catalog.types import Health

HealthOf = Callable[[str], Health]  # a provider's name → its last hour

_measured: HealthOf | None = None


def register_health(measure: HealthOf) -> None:
    """From now on `measure` answers (the last one registered counts). For an app that is ready."""
    global _measured  # noqa: PLW0603 — one hook a process
    _measured = measure


def health_of(provider: str) -> Health:
    """What is known of the provider; nothing, until somebody measures."""
    return _measured(provider) if _measured is not None else Health()
