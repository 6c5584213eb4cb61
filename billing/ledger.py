"""Settling: every hold is resolved once, durably, and never in the client's way.

`settle` queues in this turn of the loop; a writer task sends what has gathered in a few
milliseconds to `settle_batch_v2`, one round trip a batch, and the next batch gathers meanwhile. A
settlement stays here until PostgreSQL has it on its disk. While PostgreSQL is away it is also on
disk (`billing.spool`) and tried again with back-off; the function is idempotent by request id, so
nothing is charged twice. Prices are `billing.pricing`; holds are placed by `billing.admission`.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from itertools import islice
from uuid import UUID, uuid4

import psycopg
import structlog
from django.conf import settings

from billing import records, spool
from billing.types import Settlement
from ccapi.core import postgres
from ccapi.core.alerts import Kind, raise_alert
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop
from ccapi.core.postgres_line import Row

log = structlog.get_logger(__name__)

BATCH_MAX = 500
BATCH_S = 5.0  # how long a batch may take
# How long a batch gathers where none is under way; else it gathers while that runs. Nobody waits
# for a settlement, and one that began at once would be in the way of those who wait for their
# holds: measured at one connection, 2.1 ms a request become 1.6, and PostgreSQL has a quarter less
# to do. Holds never wait for company.
GATHER_S = 0.010
# How long an organization that lacks money waits for what is queued of its own, which frees some.
OWN_S = 0.25
SLOW_S = 0.5  # beyond this, what waits is written to disk: the process may not live to see it end
RETRY_S = (0.1, 2.0)  # first and longest pause while PostgreSQL is away
# Beyond either of these a process admits nothing more: it could not say what it is owed.
UNSETTLED_MAX = 10_000
UNSETTLED_S_MAX = 60.0

SETTLE = "SELECT request_id, verdict, captured_nano, overage_nano FROM settle_batch_v2(%s, %s)"
# A batch commits without waiting for the disk, so that the wallet's lock is not held meanwhile: the
# customer's next hold waits for that lock, and would wait for the disk with it (2 of 3 ms). Then
# this writes a record of its own and commits durably. The log is one sequence: once it is on the
# disk, so is the batch. Only then is a settlement forgotten here; before, it is sent again.
DURABLE = "SELECT pg_logical_emit_message(true, 'ccapi', '')::text"
WHICH = "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"

Lines = dict[UUID, tuple[int, bytes]]  # request → organization, line


class Ledger:
    """The settlements and open holds of one event loop."""

    def __init__(self) -> None:
        self.owner = f"{os.uname().nodename}:{os.getpid()}:{uuid4().hex[:8]}"
        self.open: set[UUID] = set()  # holds that this process keeps alive
        self.database = ""  # which one, by its own account
        self._unsettled: Lines = {}
        self._spooled: set[UUID] = set()
        self._spool = spool.Spool(settings.CCAPI_SPOOL_DIR)
        self._writer: asyncio.Task[None] | None = None
        self._gathering: asyncio.Future[None] | None = None  # done: no longer
        self._round: asyncio.Future[None] | None = (
            None  # of those who wait for the next batch's end
        )
        self._away_since: float | None = None
        self._spool_soon = False

    def settle(self, settlement: Settlement) -> None:
        request_id = settlement.hold.request_id
        if request_id in self._unsettled:
            log.warning("settle.twice", request_id=str(request_id))
            return
        line = records.encode(settlement)
        self._unsettled[request_id] = (settlement.hold.organization_id, line)
        if self._writer is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.create_future()
            self._writer = loop.create_task(self._write(self._gathering))
        elif self._away_since is not None and not self._spool_soon:
            self._spool_soon = True
            asyncio.get_running_loop().call_soon(self._to_disk)

    def is_open(self, organization_id: int) -> bool:
        """Whether a settlement of this organization is queued here."""
        return any(owner == organization_id for owner, _ in self._unsettled.values())

    @property
    def waiting(self) -> int:
        """How many settlements PostgreSQL has not acknowledged."""
        return len(self._unsettled)

    @property
    def away_s(self) -> float:
        """For how long none could be written, in seconds."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def is_full(self) -> bool:
        """Whether too much is unsettled to admit more."""
        return self.waiting > UNSETTLED_MAX or self.away_s > UNSETTLED_S_MAX

    async def identify(self) -> None:
        """Ask which database this is, once. Raises: BillingUnavailable."""
        if not self.database:
            row = await postgres.fetch_one(WHICH)
            self.database = row[0] if row else ""

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all is settled; what is not by then is on disk, and the answer is False."""
        if self._writer is not None:
            self._hurry()
            await asyncio.wait({self._writer}, timeout=timeout_s)
        if self._unsettled:
            self._to_disk()
        return not self._unsettled

    def _hurry(self) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    async def settle_now(self, organization_id: int) -> None:
        """Wait until what is queued now of an organization is settled, for a moment."""
        own = (key for key, pair in reversed(self._unsettled.items()) if pair[0] == organization_id)
        last = next(own, None)
        loop = asyncio.get_running_loop()
        until = loop.time() + OWN_S
        self._hurry()
        while last in self._unsettled and (left_s := until - loop.time()) > 0:
            if self._round is None:
                self._round = loop.create_future()
            await asyncio.wait({self._round}, timeout=left_s)

    def _round_ended(self) -> None:
        if self._round is not None:
            self._round.set_result(None)
            self._round = None

    async def _write(self, gathering: "asyncio.Future[None]") -> None:
        pause = RETRY_S[0]
        loop = asyncio.get_running_loop()
        timer = loop.call_later(GATHER_S, self._hurry)
        try:
            await gathering
            while self._unsettled:
                batch = dict(islice(self._unsettled.items(), BATCH_MAX))
                slow = loop.call_later(SLOW_S, self._went_away)
                try:
                    await self._apply(batch)
                except postgres.Contended:
                    self._stand_back(batch)
                    await asyncio.sleep(pause)
                except BillingUnavailable:
                    self._went_away()
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, RETRY_S[1])
                else:
                    pause = RETRY_S[0]
                    self._came_back()
                finally:
                    slow.cancel()
                    self._round_ended()
        except asyncio.CancelledError:
            self._to_disk()  # the loop ends; whoever comes next settles these
            self._spool.leave()
            raise
        finally:
            timer.cancel()
            self._writer = None

    def _went_away(self) -> None:
        """PostgreSQL does not answer, or not in time: to disk, until it has taken a batch."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("settle.waiting", unsettled=len(self._unsettled))
        self._to_disk()

    def _came_back(self) -> None:
        """PostgreSQL has taken a batch; the file goes when all that is in it is settled.

        A busy process always has something queued, so an empty queue is not waited for.
        """
        if self._away_since is not None:
            log.info("settle.caught_up", away_s=round(time.monotonic() - self._away_since, 1))
        self._away_since = None
        if not self._spooled:
            self._spool.clear()

    def _stand_back(self, batch: Lines) -> None:
        """Somebody holds a wallet's lock: PostgreSQL is there, and the others go first.

        Where it keeps several organizations waiting, and took nothing, it is as good as away.
        """
        left = {key: pair for key in batch if (pair := self._unsettled.pop(key, None)) is not None}
        self._unsettled |= left
        organizations = {organization for organization, _ in left.values()}
        if len(left) == len(batch) and len(organizations) > 1:
            self._went_away()
        else:
            self._to_disk()
            self._came_back()

    def _to_disk(self) -> None:
        self._spool_soon = False
        new = [request_id for request_id in self._unsettled if request_id not in self._spooled]
        if not new:
            return
        try:
            self._spool.append(
                (self._unsettled[request_id][1] for request_id in new), database=self.database
            )
        except OSError as error:
            # Still in memory, and tried again with the next attempt; nothing is admitted meanwhile.
            log.error("spool.failed", error=str(error), unsettled=len(self._unsettled))  # noqa: TRY400
            return
        self._spooled.update(new)

    async def _apply(self, batch: Lines) -> None:
        """Settle a batch; forget what PostgreSQL has acknowledged.

        Raises: BillingUnavailable where something is left to do.
        """
        try:
            await self._send(batch.values())
        except postgres.Contended:
            organizations = {organization for organization, _ in batch.values()}
            if len(organizations) == 1:
                raise
            await self._apply_each(batch, organizations)
        except psycopg.Error as error:
            if len(batch) > 1:
                for request_id, pair in batch.items():
                    await self._apply({request_id: pair})
            else:
                await self._apply_refused(batch, error)
        self._forget(batch)

    async def _apply_each(self, batch: Lines, organizations: set[int]) -> None:
        """One locked wallet keeps only its own organization waiting."""
        parts = [
            {key: pair for key, pair in batch.items() if pair[0] == organization}
            for organization in organizations
        ]
        # Side by side: the others shall not stand behind the one whose lock is waited for.
        ends = await asyncio.gather(*map(self._apply, parts), return_exceptions=True)
        errors = [end for end in ends if end is not None]
        # What is worse than a lock comes first.
        for error in sorted(errors, key=lambda error: isinstance(error, postgres.Contended)):
            raise error

    async def _apply_refused(self, batch: Lines, error: psycopg.Error) -> None:
        """PostgreSQL refuses this line: try without its free texts, else set it aside on disk."""
        request_id, (organization, line) = next(iter(batch.items()))
        log.error("settle.refused", request_id=str(request_id), error=str(error).splitlines()[0])
        try:
            await self._send([(organization, records.lighten(line))])
        except (psycopg.Error, ValueError):
            try:
                self._spool.reject(line)
            except OSError as full:
                raise BillingUnavailable("A refused settlement could not be kept.") from full
            log.error("settle.rejected", request_id=str(request_id))  # noqa: TRY400
            raise_alert(
                Kind.SETTLEMENT_REJECTED,
                os.uname().nodename,
                f"PostgreSQL refuses a settlement; it is kept in {spool.REJECTED} of the spool.",
            )

    async def _send(self, pairs: Iterable[tuple[int, bytes]]) -> None:
        items = b"[" + b",".join(line for _, line in pairs) + b"]"
        parameters = (items.decode(), self.owner)
        rows = await postgres.pool("settlements").run(SETTLE, parameters, timeout_s=BATCH_S)
        tell_unusual(rows)
        try:
            await postgres.pool().run(DURABLE, (), timeout_s=BATCH_S)
        except psycopg.Error as error:  # no fault of a settlement's: none is set aside for it
            log.error("settle.not_durable", error=str(error).splitlines()[0])  # noqa: TRY400
            raise BillingUnavailable("The database does not say what is on its disk.") from error

    def _forget(self, batch: Lines) -> None:
        for request_id in batch:
            self._unsettled.pop(request_id, None)
        self._spooled.difference_update(batch)
        self.open.difference_update(batch)

    async def replay(self) -> int:
        """Settle what dead processes left on disk; how many lines. Raises: BillingUnavailable."""
        count = 0
        for path in self._spool.orphans():
            await self.identify()
            with spool.taken(path, database=self.database) as lines:
                if lines is None:
                    continue
                found = list(_read(lines))
                for start in range(0, len(found), BATCH_MAX):
                    await self._apply(dict(found[start : start + BATCH_MAX]))
                count += len(found)
                log.info("spool.replayed", path=path.name, settlements=len(found))
        return count


def tell_unusual(rows: Iterable[Row]) -> None:
    """Log settlements that did not go as they should; a charge above its hold is an alert."""
    for request_id, verdict, captured, overage in rows:
        if overage or verdict != "settled":
            log.warning(
                "settle.unusual",
                request_id=str(request_id),
                verdict=verdict,
                captured_nano=captured,
                overage_nano=overage,
            )
        if overage:
            raise_alert(
                Kind.OVERAGE,
                "settlements",
                "A provider charged more than was held: the difference is ours. The log's"
                " `settle.unusual` lines name the requests; look at what bounds their holds.",
            )


def _read(lines: list[bytes]) -> Iterable[tuple[UUID, tuple[int, bytes]]]:
    for line in lines:
        try:
            request_id, organization = records.identity(line)
        except ValueError:  # the writer died within the line
            log.warning("spool.torn_line", bytes=len(line))
            continue
        yield request_id, (organization, line)


_ledgers = PerLoop(Ledger)


def current() -> Ledger:
    """The ledger of the running event loop."""
    return _ledgers.get()


def settle(settlement: Settlement) -> None:
    """Queue a settlement in this turn of the loop. Never waits; PostgreSQL may be away."""
    current().settle(settlement)


async def drain(timeout_s: float) -> bool:
    """Wait for queued settlements (at shutdown). See `Ledger.drain`."""
    return await current().drain(timeout_s)


def is_open(organization_id: int) -> bool:
    """Whether any event loop of this process has a settlement of the organization queued."""
    return any(ledger.is_open(organization_id) for ledger in _ledgers.values())


def backlog() -> tuple[int, float]:
    """How many settlements wait in this process, and for how long none could be written."""
    ledgers = _ledgers.values()
    waiting = sum(ledger.waiting for ledger in ledgers)
    return waiting, max((ledger.away_s for ledger in ledgers), default=0.0)
