"""When a delivery is tried again.

`CCAPI_WEBHOOK_SCHEDULE_S` says, in seconds from the first attempt, when the attempts are to be; by
default those that Standard Webhooks recommends, over a day: 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h,
14 h, 20 h, 24 h. What counts is the pause between two of them, so that a worker that was away does
not send several at once.
"""

import random
from datetime import datetime
from email.utils import parsedate_to_datetime

JITTER = 0.1  # of the pause, either way: receivers that recover are not met by all at once
ASKED_S_MAX = 24 * 3600.0


def pause_s(schedule: tuple[float, ...], turn: int) -> float | None:
    """How long after attempt number `turn` (from 1) the next one is; None: there is none."""
    if turn >= len(schedule):
        return None
    pause = max(0.0, schedule[turn] - schedule[turn - 1])
    return pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 — chance, not a secret


def asked_s(retry_after: str, *, now: datetime) -> float:
    """How long a receiver's Retry-After asks for, in seconds, a day at most; 0: it does not."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), ASKED_S_MAX)
    try:
        asked = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return 0.0
    return min(max(0.0, asked), ASKED_S_MAX)
