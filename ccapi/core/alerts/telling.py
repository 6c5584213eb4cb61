"""Telling people, beside the requests: a row in PostgreSQL, an e-mail, a webhook.

One daemon thread a process, made for the first alert. The row decides which of many processes
sends: the first in a cool-down. Where PostgreSQL is away, every process sends, which is better than
none. Each way is tried for itself; one that fails is logged.
"""

import json
import os
import queue as queues
import threading
import urllib.request
from datetime import UTC, datetime

from django.conf import settings
from django.core.mail import mail_admins
from django.db import Error as DatabaseError
from django.db import connection

from ccapi.core.alerts import Told
from ccapi.core.logs import get_logger

log = get_logger(__name__)

WAITING_MAX = 100
SEND_S = 10.0

STORE = """
INSERT INTO alert AS a (kind, subject, text, first_seen, last_seen, told_at, count)
SELECT %s, %s, %s, now, now, now, 1 FROM (SELECT statement_timestamp() AS now) AS clock
ON CONFLICT (kind, subject) DO UPDATE SET
  text = excluded.text, last_seen = excluded.last_seen, count = a.count + 1, resolved_at = NULL,
  first_seen = CASE WHEN a.resolved_at IS NULL THEN a.first_seen ELSE excluded.first_seen END,
  told_at = CASE WHEN a.resolved_at IS NULL
                  AND a.told_at > excluded.told_at - make_interval(secs => %s)
            THEN a.told_at ELSE excluded.told_at END
RETURNING told_at = last_seen
"""

_queue: queues.Queue[Told | threading.Event] = queues.Queue(WAITING_MAX)
_lock = threading.Lock()
_pid = 0  # of the process whose thread runs: a forked child has none yet


def queue(told: Told) -> None:
    """Leave an alert to the thread. Never waits; what finds no room is in the log alone."""
    _start()
    try:
        _queue.put_nowait(told)
    except queues.Full:
        log.warning("alert.dropped", kind=told.kind.value, subject=told.subject)


def flush(timeout_s: float) -> bool:
    """Wait until all that was queued before is told; whether it was in time."""
    if _pid != os.getpid():
        return True
    done = threading.Event()
    try:
        _queue.put(done, timeout=timeout_s)
    except queues.Full:
        return False
    return done.wait(timeout_s)


def _start() -> None:
    global _pid, _queue  # noqa: PLW0603 — one thread a process
    with _lock:
        if _pid != os.getpid():
            if _pid:
                _queue = queues.Queue(WAITING_MAX)  # the parent tells what it had queued
            _pid = os.getpid()
            threading.Thread(target=_run, args=(_queue,), name="alerts", daemon=True).start()


def _run(waiting: "queues.Queue[Told | threading.Event]") -> None:
    while True:
        item = waiting.get()
        if isinstance(item, threading.Event):
            item.set()
            continue
        try:
            tell(item)
        except Exception:
            # The thread must outlive whatever a mail server or a driver makes of one alert.
            log.exception("alert.untold", kind=item.kind.value, subject=item.subject)
        finally:
            connection.close()


def tell(told: Told) -> None:
    """Store the alert and, first in its cool-down, send it."""
    if store(told):
        _mail(told)
        _post(told)


def store(told: Told) -> bool:
    """Write the alert's row; whether it is for us to send. True as well where nobody can say."""
    try:
        with connection.cursor() as cursor:
            row = (told.kind.value, told.subject[:200], told.text)
            cursor.execute(STORE, [*row, settings.CCAPI_ALERT_COOLDOWN_S])
            return bool(cursor.fetchone()[0])
    except DatabaseError as error:
        log.warning("alert.not_stored", kind=told.kind.value, error=type(error).__name__)
        return True


def _mail(told: Told) -> None:
    if not settings.ADMINS:
        return
    try:
        mail_admins(f"{told.kind.value}: {told.subject}", told.text)
    except OSError as error:  # smtplib's errors are OSErrors
        log.warning("alert.not_mailed", kind=told.kind.value, error=type(error).__name__)


def _post(told: Told) -> None:
    """The webhook: `text` alone is what Slack, Mattermost and Teams' bridges ask for."""
    url = settings.CCAPI_ALERT_WEBHOOK_URL
    if not url:
        return
    body = {
        "text": f"{told.kind.value}: {told.subject}: {told.text}",
        "kind": told.kind.value,
        "subject": told.subject,
        "at": datetime.now(UTC).isoformat(),
    }
    request = urllib.request.Request(  # noqa: S310 — the operator's own setting, http(s) checked there
        url, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=SEND_S):  # noqa: S310 — as above
            pass
    except (OSError, ValueError) as error:
        log.warning("alert.not_posted", kind=told.kind.value, error=type(error).__name__)
