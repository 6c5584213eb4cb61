"""The limiter of one event loop: reserves on Valkey, keeps leases alive, and stands in alone.

A request without limits never reaches Valkey. One with limits costs one script call before it and
one after it, which nobody waits for. While Valkey is away, or slow, `local` decides; what it let in
is told to Valkey as soon as that is back.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from django.conf import settings

from accounts.types import Caller
from billing.rate_limits import headers, verdict
from billing.rate_limits.local import LocalLimiter
from billing.rate_limits.reservation import NOTHING, Reservation
from billing.rate_limits.subjects import Subject, of_caller, of_provider
from catalog.types import Provider
from ccapi.core import valkey_line
from ccapi.core.loops import PerLoop, raise_if_cancelled
from ccapi.core.valkey_line import Away, Script


def _script(name: str) -> Script:
    return Script((Path(__file__).parent / "lua" / f"{name}.lua").read_text())


RESERVE, SETTLE, RENEW = _script("reserve"), _script("settle"), _script("renew")
BEATS_PER_TTL = 3
LEASES_A_CALL = 500
PROCESSES = "ccapi:{processes}"  # a lease for each process that limits
PROCESSES_UNKNOWN = 4  # until Valkey has told how many there are
KNOWN_MAX = 10_000  # callers whose subjects are remembered


class Limiter:
    def __init__(self) -> None:
        self._line = valkey_line.line()
        self._local = LocalLimiter(PROCESSES_UNKNOWN)
        self._ttl_ms = round(settings.CCAPI_LEASE_TTL_S * 1000)
        self._leases: dict[str, set[bytes]] = {}  # this process's, by the name of their slots
        self._name = os.urandom(8).hex()
        self._callers: dict[int, tuple[Caller, tuple[Subject, ...]]] = {}
        self._beating = asyncio.get_running_loop().create_task(self._beat(), name="billing.leases")

    def subjects(self, caller: Caller) -> tuple[Subject, ...]:
        """Whose limits a caller's requests meet."""
        known = self._callers.get(caller.key_id)
        if known is not None and known[0] is caller:
            return known[1]
        subjects = of_caller(caller)
        if len(self._callers) >= KNOWN_MAX:
            self._callers.clear()
        self._callers[caller.key_id] = (caller, subjects)
        return subjects

    async def reserve(self, subjects: Sequence[Subject], lease: bytes, tokens: int) -> Reservation:
        """Take a request, `tokens` and a slot of every subject. Raises: RateLimited.

        A subject whose minute is less than `tokens` lends its whole minute: what is really used
        counts afterwards.
        """
        wanted = [min(tokens, subject.limits.tpm) for subject in subjects]
        if self._line.is_away:
            return self._alone(subjects, lease, wanted, tokens)
        names: list[str] = []
        words: list[bytes | int] = [lease, self._ttl_ms]
        for subject, cost in zip(subjects, wanted, strict=True):
            names += (subject.meters, subject.slots)
            limits = subject.limits
            words += (limits.rpm, limits.tpm, limits.concurrent, cost)
        try:
            answer = await self._line.call(RESERVE, names, words)
        except Away:
            return self._alone(subjects, lease, wanted, tokens)
        except asyncio.CancelledError:
            # The script may run all the same; what follows on the line undoes it.
            self._tell(subjects, lease, [-cost for cost in wanted])
            raise
        found = verdict.read(answer)
        if found.refusal is not None:
            raise headers.refused(found.refusal, subjects, found.uses, tokens)
        self._keep(subjects, lease)
        return Reservation(self, lease, subjects, wanted, found.uses, is_local=False)

    def _alone(
        self, subjects: Sequence[Subject], lease: bytes, wanted: Sequence[int], tokens: int
    ) -> Reservation:
        """The same by this process's share of the limits."""
        taken = [len(self._leases.get(subject.slots, ())) for subject in subjects]
        found = self._local.reserve(subjects, wanted, taken)
        if found.refusal is not None:
            raise headers.refused(found.refusal, subjects, found.uses, tokens)
        self._keep(subjects, lease)
        return Reservation(self, lease, subjects, wanted, found.uses, is_local=True)

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Take a reservation back; see `Reservation.settle`."""
        subjects = reservation.subjects
        self._drop(reservation)
        changes = [tokens - reserved for reserved in reservation.reserved]
        if reservation.is_local:
            for subject, change in zip(subjects, changes, strict=True):
                self._local.correct(subject, change)
            changes = [tokens] * len(subjects)  # Valkey has not heard of it at all
        self._tell(subjects, reservation.lease, changes)

    def free(self, reservation: Reservation) -> None:
        """Take its slot back alone; see `Reservation.leave`."""
        self._drop(reservation)
        self._tell(reservation.subjects, reservation.lease, [0] * len(reservation.subjects))

    def _drop(self, reservation: Reservation) -> None:
        for subject in reservation.subjects:
            leases = self._leases.get(subject.slots)
            if leases is not None:
                leases.discard(reservation.lease)
                if not leases:
                    del self._leases[subject.slots]

    def _tell(self, subjects: Sequence[Subject], lease: bytes, changes: Sequence[int]) -> None:
        if not any(subject.limits.tpm or subject.limits.concurrent for subject in subjects):
            return
        names: list[str] = []
        words: list[bytes | int] = [lease]
        for subject, change in zip(subjects, changes, strict=True):
            names += (subject.meters, subject.slots)
            words += (subject.limits.tpm, change)
        self._line.tell(SETTLE, names, words)

    def _keep(self, subjects: Sequence[Subject], lease: bytes) -> None:
        for subject in subjects:
            if subject.limits.concurrent:
                self._leases.setdefault(subject.slots, set()).add(lease)

    async def _beat(self) -> None:
        """Renew the leases of this process, and count the processes."""
        every_s = self._ttl_ms / 1000 / BEATS_PER_TTL
        while True:
            if not self._line.is_away:
                self._renew()
                await self._count_processes()
            await asyncio.sleep(every_s * random.uniform(0.9, 1.0))  # noqa: S311
            raise_if_cancelled()

    def _renew(self) -> None:
        for slots, leases in self._leases.items():
            names = list(leases)
            for at in range(0, len(names), LEASES_A_CALL):
                self._line.tell(RENEW, [slots], [self._ttl_ms, *names[at : at + LEASES_A_CALL]])

    async def _count_processes(self) -> None:
        try:
            answer = await self._line.call(RENEW, [PROCESSES], [self._ttl_ms, self._name])
        except Away:
            return
        self._local.processes = max(1, int(answer))

    def close(self) -> None:
        self._beating.cancel()


_limiters = PerLoop(Limiter)


async def reserve(caller: Caller, request_id: UUID, tokens: int, *, stated: int = 0) -> Reservation:
    """Take a request and its tokens, as far as they can be told before, of the caller's limits.

    `stated` are those that the client itself asks for: more than a minute's worth can never be.
    Raises: RequestsPerMinute, TokensPerMinute, ConcurrentRequests; nothing has been taken then.
    """
    if not caller.limits and not caller.key_limits:
        return NOTHING
    limiter = _limiters.get()
    subjects = limiter.subjects(caller)
    for subject in subjects:
        if 0 < subject.limits.tpm < stated:
            raise headers.too_large(subject, stated)
    return await limiter.reserve(subjects, request_id.bytes, tokens)


async def reserve_upstream(provider: Provider, request_id: UUID, tokens: int) -> Reservation:
    """Take an attempt of what a provider grants us. Raises: UpstreamRateLimited."""
    if not provider.limits:
        return NOTHING
    return await _limiters.get().reserve(of_provider(provider), request_id.bytes, tokens)


def close() -> None:
    """End this event loop's limiter (at shutdown)."""
    found = _limiters.pop()
    if found is not None:
        found.close()
    valkey_line.close()
