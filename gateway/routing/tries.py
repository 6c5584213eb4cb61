"""The tries of one request: which offer next, when, and when to stop. The walk makes the calls.

In the plan's order, each offer once. What failed may be repeated at the same offer where that is
safe (`failover.is_repeatable`), once, while the provider's budget of repeats lasts; a refused or
limited key gives way to the provider's next one. Offers that are out of service are passed over
while others are left. When none is:

- the one that is likely to be back first is called all the same, once: a customer's request is
  worth one call, and if it works the breaker learns of it at once;
- one that asked to be left alone for a short while (`Retry-After` up to ten seconds) is waited for
  and called once.

All this in one number of calls and before one point in time. Whatever is passed over is told in the
request's attempts.
"""

import random
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from catalog.types import Offer
from gateway.routing import failover
from gateway.routing.board import Board, Standing
from gateway.routing.plan import Candidate
from gateway.transport.failures import AttemptFailed

# Calls of one request in all; a repeat is never at the cost of a candidate that is left.
CALLS_MAX = 16
# A repeat follows after a random time up to this, in seconds (full jitter).
PAUSE_S_MAX = 0.2

OnSkip = Callable[[Candidate, str], None]


class Passed(NamedTuple):
    """A candidate that was not called, being out of service."""

    candidate: Candidate
    standing: Standing


class Try:
    """One call of one candidate. A `board.Way`."""

    __slots__ = (
        "candidate",
        "has_alternative",
        "is_forced",
        "is_repeat",
        "key",
        "offer",
        "pause_s",
        "probes",
        "since",
        "was_waited_for",
    )

    def __init__(
        self,
        candidate: Candidate,
        key: str,
        probes: tuple[str, ...] = (),
        *,
        has_alternative: bool = False,
        pause_s: float = 0.0,
        is_repeat: bool = False,
        is_forced: bool = False,
        was_waited_for: bool = False,
    ) -> None:
        self.candidate = candidate
        self.offer: Offer = candidate.offer
        self.key = key
        self.probes = probes
        self.has_alternative = has_alternative
        self.pause_s = pause_s  # before it
        self.is_repeat = is_repeat
        self.is_forced = is_forced  # in spite of an open breaker
        self.was_waited_for = was_waited_for
        self.since = 0.0  # when it began, on the walk's clock


class Tries:
    """Ask `next`, call, tell `failed`; again until `next` is None or a call has answered."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        board: Board,
        *,
        now: float,
        on_skip: OnSkip,
    ) -> None:
        self.failures: list[AttemptFailed] = []
        self.passed: list[Passed] = []
        self.until = now + max([each.offer.provider.timeouts.total for each in candidates])
        self._candidates = candidates
        self._board = board
        self._on_skip = on_skip
        self._at = 0  # the next candidate
        self._calls = 0
        self._keys = 1  # of the offer at hand, tried so far
        self._told = 0  # how many of `passed` are in the attempts
        self._again: Try | None = None
        self._waiting: list[tuple[float, Try]] = []
        self._window_needed = 0
        self._is_over = False
        self._has_forced = self._has_waited = False

    def next(self, now: float) -> Try | None:
        """The next call; None where there is none."""
        turn: Try | None = None
        if not self._is_over and self._calls < CALLS_MAX and now < self.until:
            turn, self._again = self._again, None
            turn = turn or self._in_order(now) or self._in_spite() or self._after_a_wait(now)
        self._tell_passed()
        if turn is not None:
            self._calls += 1
            turn.since = now
        return turn

    def failed(self, turn: Try, failure: AttemptFailed, now: float) -> None:
        """The call failed before its first content."""
        self._board.failed(turn, failure, now)
        self.failures.append(failure)
        if not failover.moves_on(failure):
            self._is_over = True
        elif failure.failure.kind == "context_length":
            needed = turn.candidate.model.context_length + 1
            self._window_needed = max(self._window_needed, needed)
        elif not turn.was_waited_for:
            self._again = self._same_offer(turn, failure, now)
            wait_s = failover.wait_s(failure)
            if self._again is None and wait_s is not None:
                self._waiting.append((now + wait_s, turn))

    def pass_over(self, turn: Try, now: float) -> None:
        """The call was not made: somebody else's is the probe."""
        self._calls -= 1
        standing = self._board.standing(turn.offer, now)
        self.passed.append(Passed(turn.candidate, standing._replace(is_usable=False)))

    def _in_order(self, now: float) -> Try | None:
        while self._at < len(self._candidates):
            candidate = self._candidates[self._at]
            self._at += 1
            if self._is_too_small(candidate):
                continue
            standing = self._board.standing(candidate.offer, now)
            if standing.is_usable:
                self._keys = 1
                self._board.budget.earn(candidate.offer.provider.id)
                return Try(
                    candidate,
                    standing.key,
                    standing.probes,
                    has_alternative=self._has_more(now),
                )
            self.passed.append(Passed(candidate, standing))
        return None

    def _same_offer(self, turn: Try, failure: AttemptFailed, now: float) -> Try | None:
        """Once more at the same offer: with another key, or as it was."""
        left = len(self._candidates) - self._at
        if turn.is_forced or self._calls + left >= CALLS_MAX:
            return None
        provider = turn.offer.provider
        if failover.is_of_the_key(failure) and self._keys < len(provider.api_keys):
            self._keys += 1
            standing = self._board.standing(turn.offer, now)
            if standing.is_usable and standing.key != turn.key:
                return Try(
                    turn.candidate,
                    standing.key,
                    standing.probes,
                    has_alternative=turn.has_alternative,
                    is_repeat=turn.is_repeat,
                )
        if turn.is_repeat or turn.probes or not failover.is_repeatable(failure):
            return None
        pause_s = random.uniform(0.0, PAUSE_S_MAX)  # noqa: S311 — spreads calls, keeps no secret
        if now + pause_s >= self.until or not self._board.is_usable(turn.offer, now):
            return None
        if not self._board.may_repeat(provider):
            return None
        return Try(
            turn.candidate,
            turn.key,
            has_alternative=turn.has_alternative,
            pause_s=pause_s,
            is_repeat=True,
        )

    def _in_spite(self) -> Try | None:
        """One that is out of service: the one that is likely to be back first."""
        chosen = [
            each
            for each in self.passed
            if each.standing.may_be_forced and not self._is_too_small(each.candidate)
        ]
        if self._has_forced or not chosen:
            return None
        self._has_forced = True
        best = min(chosen, key=lambda each: each.standing.until)
        self._take_back(best)
        return Try(best.candidate, best.standing.key, is_forced=True)

    def _after_a_wait(self, now: float) -> Try | None:
        """One that said when to come again, if that is soon."""
        if self._has_waited:
            return None
        resting = [
            each
            for each in self.passed
            if each.standing.is_rest and not self._is_too_small(each.candidate)
        ]
        ready: list[tuple[float, Try | Passed]] = [
            *self._waiting,
            *((each.standing.until, each) for each in resting),
        ]
        for at, waiting in sorted(ready, key=itemgetter(0)):
            if at - now > failover.WAIT_S_MAX:
                return None
            # A little later than told, at random, so that those who wait do not come as one.
            pause_s = max(0.0, at - now) + random.uniform(0.0, PAUSE_S_MAX)  # noqa: S311
            if now + pause_s >= self.until:
                return None
            if isinstance(waiting, Passed):
                self._take_back(waiting)
                key = waiting.standing.key
            elif self._board.may_repeat(waiting.offer.provider):
                key = waiting.key
            else:
                continue
            self._has_waited = True
            return Try(waiting.candidate, key, pause_s=pause_s, was_waited_for=True)
        return None

    def _has_more(self, now: float) -> bool:
        """Whether another candidate could take over."""
        return any(
            not self._is_too_small(each) and self._board.is_usable(each.offer, now)
            for each in self._candidates[self._at :]
        )

    def _is_too_small(self, candidate: Candidate) -> bool:
        """After "context too long", only a larger window may succeed (an unknown one is tried)."""
        return 0 < candidate.model.context_length < self._window_needed

    def _take_back(self, passed: Passed) -> None:
        """It is called after all. If it was told as passed over already, that stays true."""
        at = next(at for at, each in enumerate(self.passed) if each is passed)
        del self.passed[at]
        self._told -= at < self._told

    def _tell_passed(self) -> None:
        for each in self.passed[self._told :]:
            reason = "cooling_down" if each.standing.is_rest else "circuit_open"
            self._on_skip(each.candidate, reason)
        self._told = len(self.passed)
