"""A hook for what is measured of a provider: filled by the app that keeps usage, asked by views."""

from collections.abc import Callable

import msgspec

from catalog.types import SANDBOXES, Health, Status

HealthOf = Callable[[str], Health]  # a provider's name → its last hour
StatusOf = Callable[[str], Status]  # a provider's name → what is known of it just now

WORSE: tuple[Status, ...] = ("operational", "degraded", "down")

_measured: HealthOf | None = None
_status: StatusOf | None = None


def register_health(measure: HealthOf) -> None:
    """From now on `measure` answers (the last one registered counts). For an app that is ready."""
    global _measured  # noqa: PLW0603 — one hook a process
    _measured = measure


def register_status(status_of: StatusOf) -> None:
    """The same for what routing knows sooner than any figure: who is out of service."""
    global _status  # noqa: PLW0603 — one hook a process
    _status = status_of


def health_of(provider: str) -> Health:
    """What is known of the provider; nothing, until somebody measures. The worse status counts."""
    health = _measured(provider) if _measured is not None else Health()
    if provider in SANDBOXES:
        # What fails there was asked to fail.
        health = msgspec.structs.replace(health, status="operational")
    now = _status(provider) if _status is not None else health.status
    if WORSE.index(now) > WORSE.index(health.status):
        return msgspec.structs.replace(health, status=now)
    return health
