"""The limits of one process, for while Valkey is away: the same meters, in memory.

Never fully open, never fully closed: a process grants its share of each limit, and at least one.
What Valkey counted before is not known here, so for a minute after it went a customer may get up to
twice a limit.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from billing.rate_limits.subjects import Subject
from billing.rate_limits.verdict import Limit, Refusal, Use, Verdict
from ccapi.core.limits import Limits

REMEMBERED_MAX = 10_000  # subjects
SLACK = 1e-6


class Meters(msgspec.Struct):
    """What a subject has taken and has not run out yet, as of `at`."""

    at: float
    requests: float = 0.0
    tokens: float = 0.0

    def run(self, now: float, limits: Limits) -> None:
        """Let time pass."""
        minutes = max(0.0, now - self.at) / 60
        self.requests = max(0.0, self.requests - limits.rpm * minutes)
        self.tokens = max(0.0, self.tokens - limits.tpm * minutes)
        self.at = now


def share(limits: Limits, processes: int) -> Limits:
    """What one process of so many grants by itself."""

    def part(limit: int) -> int:
        return max(1, limit // processes) if limit else 0

    return Limits(rpm=part(limits.rpm), tpm=part(limits.tpm), concurrent=part(limits.concurrent))


class LocalLimiter:
    """Meters by subject. Slots are counted by who asks: they are this process's own requests."""

    def __init__(self, processes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.processes = processes  # who share every limit
        self._clock = clock
        self._meters: dict[str, Meters] = {}

    def reserve(
        self, subjects: Sequence[Subject], wanted: Sequence[int], taken: Sequence[int]
    ) -> Verdict:
        """As `reserve.lua` does it; `taken` are the slots in use."""
        now = self._clock()
        refusals = []
        found = []
        for place, subject in enumerate(subjects):
            limits = share(subject.limits, self.processes)
            meters = self._meters.get(subject.meters) or Meters(now)
            meters.run(now, limits)
            found.append(meters)
            over = meters.requests + 1 - limits.rpm
            if limits.rpm and over > SLACK:
                refusals.append(Refusal(place, Limit.RPM, over / limits.rpm * 60))
            over = meters.tokens + min(wanted[place], limits.tpm) - limits.tpm
            if limits.tpm and over > SLACK:
                refusals.append(Refusal(place, Limit.TPM, over / limits.tpm * 60))
            if limits.concurrent and taken[place] >= limits.concurrent:
                refusals.append(Refusal(place, Limit.CONCURRENT, 0.0))
        refusal = max(refusals, key=lambda each: each.wait_s, default=None)
        if refusal is None:
            for subject, meters, tokens in zip(subjects, found, wanted, strict=True):
                meters.requests += 1 if subject.limits.rpm else 0
                meters.tokens += tokens if subject.limits.tpm else 0
                self._remember(subject.meters, meters)
        uses = tuple(
            self._use(subject, meters, slots + (0 if refusal else 1))
            for subject, meters, slots in zip(subjects, found, taken, strict=True)
        )
        return Verdict(refusal, uses)

    def _use(self, subject: Subject, meters: Meters, slots: int) -> Use:
        """What this process leaves of a limit, told as if the others had taken theirs."""
        whole, part = subject.limits, share(subject.limits, self.processes)
        return Use(
            requests=round((whole.rpm - part.rpm + meters.requests) * 1000),
            tokens=round((whole.tpm - part.tpm + meters.tokens) * 1000),
            slots=slots,
        )

    def correct(self, subject: Subject, change: int) -> None:
        """Add tokens to a subject that this process has metered, or give some back."""
        meters = self._meters.get(subject.meters)
        if meters is not None:
            meters.run(self._clock(), share(subject.limits, self.processes))
            meters.tokens = max(0.0, meters.tokens + change)

    def _remember(self, name: str, meters: Meters) -> None:
        self._meters.pop(name, None)
        self._meters[name] = meters
        if len(self._meters) > REMEMBERED_MAX:
            del self._meters[next(iter(self._meters))]
