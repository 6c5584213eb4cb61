"""Standing holds: money set aside for work that outlives its request, which is what a job is.

Placed and settled on Django's own connection, inside the caller's transaction: the hold commits
with the job that it is for, the settlement with the end that it belongs to, and neither without.
The database's functions, the refusals and the receipts are those of every request. No process
keeps such a hold alive, so it has an expiry of its own (`Admission.expires_s`), and only beyond
that does the sweeper void it. What is settled even later is charged as far as money is there.

Both lock the organization's wallet until that transaction ends, and its other requests wait:
call them last, one organization a transaction, with nothing slow behind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog
from django.conf import settings
from django.db import DataError, InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from billing import ledger, records
from billing.admission import HOLD, dearest, hold_for, request_for
from billing.refusals import Verdict, payment_required, refusal
from billing.types import Admission, Hold, Settlement
from ccapi.core.errors import BillingUnavailable
from ccapi.core.postgres import LOCK_MS
from ccapi.core.postgres_line import Row

log = structlog.get_logger(__name__)

OWNER = "jobs"  # of holds that belong to no process


def place_hold(admission: Admission) -> Hold:
    """Place a hold for `expires_s`, or say why not; the same request twice has one hold.

    Raises: PaymentRequired, RequestExceedsBalance, InFlightReservations (402), AccountSuspended,
    ModelNotPriced, BillingUnavailable; the caller's transaction is to be rolled back then.
    """
    waiting, away_s = ledger.backlog()
    if waiting > ledger.UNSETTLED_MAX or away_s > ledger.UNSETTLED_S_MAX:
        raise BillingUnavailable("Too many settlements wait for the database. Try again soon.")
    amount, price = dearest(admission.bounds)
    items = msgspec.json.encode([request_for(admission, amount, price)]).decode()
    expires_s = admission.expires_s
    with _wallets() as cursor:
        cursor.execute(
            HOLD, [items, settings.CCAPI_HOLD_TTL_S if expires_s is None else expires_s, OWNER]
        )
        _, *columns = cursor.fetchone()
    verdict = Verdict(*columns)
    if verdict.word in ("held", "duplicate"):
        return hold_for(admission, amount, price)
    if verdict.word in ("in_flight", "insufficient"):
        raise payment_required(admission, amount, verdict)
    raise refusal(verdict.word, admission)


def settle_hold(settlement: Settlement) -> None:
    """Resolve a hold with its receipt; one that is resolved already stays as it is.

    Raises: BillingUnavailable; the caller's transaction is to be rolled back then.
    """
    line = records.encode(settlement)
    with _wallets() as cursor:
        try:
            with transaction.atomic():
                rows = _settle(cursor, line)
        except DataError as error:
            # Free texts that PostgreSQL cannot keep shall not keep a job from ever ending.
            log.error(  # noqa: TRY400
                "settle.refused",
                request_id=str(settlement.hold.request_id),
                error=str(error).splitlines()[0],
            )
            rows = _settle(cursor, records.lighten(line))
    transaction.on_commit(lambda: ledger.tell_unusual(rows))


def _settle(cursor: CursorWrapper, line: bytes) -> list[Row]:
    cursor.execute(ledger.SETTLE, [f"[{line.decode()}]", f"{OWNER}:{os.uname().nodename}"])
    rows: list[Row] = cursor.fetchall()
    return rows


@contextmanager
def _wallets() -> Iterator[CursorWrapper]:
    """A cursor that waits for a wallet's lock no longer than a request does.

    Raises: BillingUnavailable for a lock that does not come, and for a database that is away.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "Standing holds are placed and settled inside the transaction of their job."
        )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            (before,) = cursor.fetchone()
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_MS}ms"])
            yield cursor
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    except (OperationalError, InterfaceError) as error:
        raise BillingUnavailable("The database is busy or away.") from error
