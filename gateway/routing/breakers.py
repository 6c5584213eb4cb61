"""Circuit breakers: what is out of service, until when, and why. Pure: no clock, no network.

A scope (an offer, a provider's connection, a key) is closed until it has failed FAILURES times
within WINDOW_S and at least as often as not: one customer's bad luck does not take an offer away
from all. Then it is open for a cool-down that grows while it goes on failing, and half open after
it: one probe is let through (`claim`), whose success closes it and whose failure opens it again. A
rest (the provider said how long to stay away) ends by itself, without a probe.

Only what is in trouble has an entry, so asking about the healthy is one look into a dictionary.
How processes share this is `sharing`; what a failure means for which scope is `blame`.
"""

import random
from typing import Literal

import msgspec

from gateway.routing.blame import Cause

State = Literal["closed", "open", "half_open", "probing"]

FAILURES = 5
WINDOW_S = 10.0
# A probe that has not been decided after this is taken for lost, in seconds.
PROBE_S = 30.0
# Nobody asked for it in so long, in seconds: what was known of it is worth nothing any more.
FORGET_S = 60.0
COUNTS_MAX = 4096
REST_NEWS_S = 0.25

# Cool-downs in seconds, the first and the longest; each is twice the one before. What fails at once
# costs little to probe, so it is back in service at most five seconds after it works again. A probe
# of what stalls costs somebody a time-out; a refused key is mended by people.
FAST = (1.0, 4.0)
SLOW = (2.0, 20.0)
STUBBORN = (4.0, 29.0)
COOL_DOWNS: dict[Cause, tuple[float, float]] = {
    "timeout": SLOW,
    "rate_limited": SLOW,
    "auth": STUBBORN,
    "credit": STUBBORN,
    "not_found": STUBBORN,
}


class Place(msgspec.Struct, frozen=True):
    """What a scope is, for people. `keys`: how many keys the provider has."""

    scope: str
    provider: str
    model: str = ""  # "": every model of the provider
    keys: int = 1


class Out(msgspec.Struct, kw_only=True):
    """A scope that is out of service, or on its way back."""

    place: Place
    cause: Cause
    opened_at: float
    until: float
    streak: int = 1  # how often in a row it was opened
    is_rest: bool = False
    probed_until: float = 0.0  # somebody's probe is under way

    def state(self, now: float) -> State:
        if now < self.until:
            return "open"
        if self.is_rest or now > self.until + FORGET_S:
            return "closed"
        return "probing" if now < self.probed_until else "half_open"


class Count(msgspec.Struct):
    """What came of the calls of a closed scope since its first failure of a window."""

    since: float
    failures: int = 0
    successes: int = 0


class Breakers:
    """Those of one process. Times are seconds of one clock, the caller's."""

    def __init__(self, *, failures: int = FAILURES, jitter: random.Random | None = None) -> None:
        self.out: dict[str, Out] = {}
        self.counts: dict[str, Count] = {}
        self._failures = failures
        self._jitter = jitter or random.Random()  # noqa: S311 — spreads probes, keeps no secret

    def state(self, scope: str, now: float) -> State:
        """Forgets what is over."""
        out = self.out.get(scope)
        if out is None:
            return "closed"
        state = out.state(now)
        if state == "closed":
            del self.out[scope]
        return state

    def claim(self, scope: str, now: float, *, seconds: float = PROBE_S) -> None:
        """A probe of it is under way, here or (for `seconds`) elsewhere."""
        out = self.out.get(scope)
        if out is not None:
            out.probed_until = now + seconds

    def release(self, scope: str) -> None:
        """The probe came to nothing: the next one may go."""
        out = self.out.get(scope)
        if out is not None:
            out.probed_until = 0.0

    def succeeded(self, scope: str, *, is_probe: bool) -> Out | None:
        """It works. What was out is closed by a probe only: other answers may be old news.

        Returns the entry that this closed.
        """
        if is_probe:
            self.counts.pop(scope, None)
            return self.out.pop(scope, None)
        count = self.counts.get(scope)
        if count is not None:
            count.successes += 1
        return None

    def failed(
        self,
        place: Place,
        cause: Cause,
        now: float,
        *,
        is_probe: bool = False,
        at_once: bool = False,
    ) -> Out | None:
        """It does not work. Returns the entry where this opened it (again)."""
        state = self.state(place.scope, now)
        if state == "open" or (state in ("half_open", "probing") and not is_probe):
            return None  # a call from before, or one that went out in spite of it
        known = self.out.get(place.scope)
        if known is None and not at_once and not self._is_enough(place.scope, now):
            return None
        self.counts.pop(place.scope, None)
        streak = 1 if known is None else known.streak + 1
        return self._open(place, cause, now, self._cool_down(cause, streak), streak=streak)

    def rest(
        self, place: Place, cause: Cause, now: float, seconds: float, *, is_probe: bool = False
    ) -> Out | None:
        """Stay away for so long. Returns the entry where that is news."""
        known = self.out.get(place.scope)
        if seconds <= 0.0:
            return None
        # Of many answers that say the same, one is told on.
        is_news = known is None or (known.is_rest and now + seconds >= known.until + REST_NEWS_S)
        if not is_news and not is_probe:
            return None
        return self._open(place, cause, now, seconds, is_rest=True)

    def told_out(self, told: Out) -> None:
        """Another process has taken it out of service; the longer word counts."""
        known = self.out.get(told.place.scope)
        if known is not None:
            told.streak = max(told.streak, known.streak)
            told.until = max(told.until, known.until)
        self.counts.pop(told.place.scope, None)
        self.out[told.place.scope] = told

    def told_closed(self, scope: str, *, at: float) -> bool:
        """Another process found it working at that time; whether that was news here."""
        known = self.out.get(scope)
        if known is None or known.opened_at > at:
            return False
        self.counts.pop(scope, None)
        del self.out[scope]
        return True

    def _is_enough(self, scope: str, now: float) -> bool:
        """Count one more failure; whether they are enough to open."""
        count = self.counts.get(scope)
        if count is None or now - count.since > WINDOW_S:
            if len(self.counts) >= COUNTS_MAX:
                self.counts.clear()
            count = self.counts[scope] = Count(now)
        count.failures += 1
        return count.failures >= self._failures and count.failures >= count.successes

    def _cool_down(self, cause: Cause, streak: int) -> float:
        first, longest = COOL_DOWNS.get(cause, FAST)
        seconds = min(first * 2.0 ** min(streak - 1, 16), longest)
        return seconds * self._jitter.uniform(0.8, 1.0)

    def _open(
        self,
        place: Place,
        cause: Cause,
        now: float,
        seconds: float,
        *,
        streak: int = 1,
        is_rest: bool = False,
    ) -> Out:
        out = Out(
            place=place,
            cause=cause,
            opened_at=now,
            until=now + seconds,
            streak=streak,
            is_rest=is_rest,
        )
        self.out[place.scope] = out
        return out
