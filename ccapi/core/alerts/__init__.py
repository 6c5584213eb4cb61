"""Alerts: what an operator must look at, told once a cool-down however often it happens.

`raise_alert` may be called anywhere, also on the walk: it does no I/O. It counts, writes one error
line, and leaves the rest to a thread (`telling`): the row that the admin shows, e-mail, webhook.
Whether something is worth an alert is decided by who raises it. A text never carries a key, a
prompt or what a provider wrote.
"""

import time
from enum import StrEnum
from typing import NamedTuple

from django.conf import settings

from ccapi.core import metrics
from ccapi.core.logs import get_logger

__all__ = ["Kind", "Told", "flush", "raise_alert"]

log = get_logger(__name__)


class Kind(StrEnum):
    """What happened; the name of the log line as well."""

    OUT_OF_MONEY = "provider.out_of_money"  # subject: the provider's name
    KEY_REFUSED = "provider.key_refused"  # subject: the provider's name
    OVERAGE = "billing.overage"  # a charge above its hold; subject: "settlements"
    SPOOL_WAITS = "billing.spool_waits"  # settlements on disk for over a minute; subject: the host
    SETTLEMENT_REJECTED = "billing.settlement_rejected"  # PostgreSQL refuses it; subject: the host
    AUDIT_BROKEN = "billing.audit_broken"  # subject: the invariant


class Told(NamedTuple):
    """One alert on its way to people."""

    kind: Kind
    subject: str
    text: str


_quiet_until: dict[tuple[Kind, str], float] = {}


def raise_alert(kind: Kind, subject: str, text: str) -> None:
    """Tell the operator: `subject` is what it is about (a provider's name), `text` what to do.

    The same kind and subject again within `CCAPI_ALERT_COOLDOWN_S` is counted and no more.
    """
    metrics.ALERTS.add((kind.value,))
    now = time.monotonic()
    if _quiet_until.get((kind, subject), 0.0) > now:
        return
    _quiet_until[kind, subject] = now + settings.CCAPI_ALERT_COOLDOWN_S
    log.error(kind.value, subject=subject, text=text)
    from ccapi.core.alerts import telling  # has models, which need Django's apps loaded

    telling.queue(Told(kind, subject, text))


def flush(timeout_s: float) -> bool:
    """Wait until what was raised here has been told (at the end of a command or a process)."""
    from ccapi.core.alerts import telling

    return telling.flush(timeout_s)
