"""What waits to be settled, looked at once a second: for the metrics, and for one alert.

A settlement waits in memory while PostgreSQL is there, and on disk as well while it is away. A file
that nobody clears within a minute needs a person.
"""

import os
import time

from django.conf import settings

from billing import ledger, spool
from ccapi.core import metrics, postgres, valkey
from ccapi.core.alerts import Kind, raise_alert

WAITS_S_MAX = 60.0


def sample() -> None:
    """This process's ledgers, the spool folder that it shares, and what it finds away."""
    waiting, away_s = ledger.backlog()
    files, oldest_s = spool_files()
    metrics.SETTLEMENTS_WAITING.set(waiting)
    metrics.SETTLEMENT_AWAY.set(away_s)
    metrics.SPOOL_FILES.set(files)
    metrics.SPOOL_AGE.set(max(oldest_s, away_s if files else 0.0))
    metrics.AWAY.set(postgres.is_away(), ("postgres",))
    metrics.AWAY.set(valkey.is_away(), ("valkey",))
    if files and max(oldest_s, away_s) > WAITS_S_MAX:
        where = os.uname().nodename
        text = f"{files} files of settlements wait on disk, in {settings.CCAPI_SPOOL_DIR}."
        raise_alert(Kind.SPOOL_WAITS, where, f"{text} Is PostgreSQL there?")


def spool_files() -> tuple[int, float]:
    """How many files are in the spool, and the seconds since the stalest was written."""
    now, ages = time.time(), [0.0]
    try:
        entries = list(os.scandir(settings.CCAPI_SPOOL_DIR))
    except FileNotFoundError:
        return 0, 0.0
    for entry in entries:
        if entry.name.endswith(spool.SUFFIX) and entry.name != spool.REJECTED:
            try:
                ages.append(now - entry.stat().st_mtime)
            except FileNotFoundError:  # settled in this moment
                continue
    return len(ages) - 1, max(ages)
