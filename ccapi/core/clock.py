"""Clocks: monotonic for durations.

Wall for stamps on the wire. Money goes by the database's clock.
"""

import time
from datetime import UTC, datetime

monotonic = time.monotonic


def epoch_seconds() -> int:
    return int(time.time())


def now() -> datetime:
    return datetime.now(UTC)


def elapsed_ms(since: float) -> int:
    """Milliseconds since a reading of `monotonic()`."""
    return round((time.monotonic() - since) * 1000)
