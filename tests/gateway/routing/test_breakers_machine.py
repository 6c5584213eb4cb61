"""The breakers against what they promise, whatever happens in which order: a virtual clock."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.routing.blame import Cause
from gateway.routing.breakers import COOL_DOWNS, FAST, FORGET_S, PROBE_S, Breakers, Out, Place

PLACE = Place(scope="offer:1", provider="p", model="p/m")
CAUSES = st.sampled_from(["server", "timeout", "credit", "overloaded"])
SECONDS_MAX = 30.0


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.breakers = Breakers(jitter=random.Random(1))  # noqa: S311
        self.failures: list[float] = []

    @rule(seconds=st.floats(0.01, 15.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(cause=CAUSES)
    def an_ordinary_call_fails(self, cause: Cause) -> None:
        before = self.breakers.state(PLACE.scope, self.now)
        recent = [at for at in self.failures if self.now - at <= 10.0]
        self.failures = [*recent, self.now]

        opened = self.breakers.failed(PLACE, cause, self.now)

        if before != "closed":
            assert opened is None
        if opened is not None:
            assert before == "closed"
            assert len(self.failures) >= 5
            assert opened.streak == 1

    @rule(cause=CAUSES)
    def a_failure_that_leaves_no_doubt(self, cause: Cause) -> None:
        before = self.breakers.state(PLACE.scope, self.now)
        opened = self.breakers.failed(PLACE, cause, self.now, at_once=True)
        assert (opened is not None) == (before == "closed")

    @rule()
    def an_ordinary_call_succeeds(self) -> None:
        before = self.breakers.state(PLACE.scope, self.now)
        self.breakers.succeeded(PLACE.scope, is_probe=False)
        assert self.breakers.state(PLACE.scope, self.now) == before

    @rule(ends=st.sampled_from(["works", "fails", "nothing", "never"]), cause=CAUSES)
    def a_probe(self, ends: str, cause: Cause) -> None:
        if self.breakers.state(PLACE.scope, self.now) != "half_open":
            return
        streak = self.breakers.out[PLACE.scope].streak
        self.breakers.claim(PLACE.scope, self.now)
        assert self.breakers.state(PLACE.scope, self.now) == "probing"
        self.now += 0.1
        if ends == "works":
            assert self.breakers.succeeded(PLACE.scope, is_probe=True) is not None
            assert self.breakers.state(PLACE.scope, self.now) == "closed"
            self.failures = []
        elif ends == "fails":
            out = self.breakers.failed(PLACE, cause, self.now, is_probe=True)
            assert out is not None
            assert out.streak == streak + 1
        elif ends == "nothing":
            self.breakers.release(PLACE.scope)
            assert self.breakers.state(PLACE.scope, self.now) == "half_open"
        else:
            self.now += PROBE_S
            assert self.breakers.state(PLACE.scope, self.now) in ("half_open", "closed")

    @rule(seconds=st.floats(0.0, 29.0))
    def the_provider_says_when_to_come_again(self, seconds: float) -> None:
        self.breakers.rest(PLACE, "rate_limited", self.now, seconds)

    @rule(seconds=st.floats(0.001, 29.0), streak=st.integers(1, 9))
    def another_process_opens_it(self, seconds: float, streak: int) -> None:
        self.breakers.told_out(
            Out(
                place=PLACE,
                cause="server",
                opened_at=self.now,
                until=self.now + seconds,
                streak=streak,
            )
        )
        assert self.breakers.state(PLACE.scope, self.now) == "open"

    @rule(ago=st.floats(0.0, 20.0))
    def another_process_found_it_working(self, ago: float) -> None:
        known = self.breakers.out.get(PLACE.scope)
        newer = known is not None and known.opened_at > self.now - ago
        assert self.breakers.told_closed(PLACE.scope, at=self.now - ago) == (
            known is not None and not newer
        )

    @invariant()
    def it_is_never_out_for_longer_than_promised(self) -> None:
        out = self.breakers.out.get(PLACE.scope)
        if out is None:
            return
        assert out.until - self.now < SECONDS_MAX
        if not out.is_rest and out.cause == "server" and out.streak == 1:
            assert out.until - out.opened_at <= SECONDS_MAX
        later = self.now + SECONDS_MAX + max(FORGET_S, PROBE_S)
        assert out.state(later) == "closed"


TestBreakers = Machine.TestCase
TestBreakers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def place(number: int = 1) -> Place:
    return Place(scope=f"offer:{number}", provider="p", model="p/m")


def test_five_failures_in_ten_seconds_open_it_and_four_do_not() -> None:
    breakers = Breakers()
    for at in range(4):
        assert breakers.failed(place(), "server", 0.1 * at) is None
    assert breakers.state("offer:1", 1.0) == "closed"

    assert breakers.failed(place(), "server", 1.0) is not None
    assert breakers.state("offer:1", 1.0) == "open"


def test_failures_that_are_fewer_than_successes_do_not_open_it() -> None:
    breakers = Breakers()
    for at in range(50):
        assert breakers.failed(place(), "server", 0.1 * at) is None or at < 1
        for _ in range(2):
            breakers.succeeded("offer:1", is_probe=False)

    assert breakers.state("offer:1", 5.0) == "closed"


@pytest.mark.parametrize("cause", ["server", "unreachable", *COOL_DOWNS])
def test_cool_downs_grow_to_their_longest_and_stay_under_thirty_seconds(cause: Cause) -> None:
    first, longest = COOL_DOWNS.get(cause, FAST)
    breakers, now, seen = Breakers(), 0.0, []

    breakers.failed(place(), cause, now, at_once=True)
    for _ in range(9):
        out = breakers.out["offer:1"]
        seen.append(out.until - now)
        now = out.until
        breakers.claim("offer:1", now)
        breakers.failed(place(), cause, now, is_probe=True)

    assert 0.8 * first <= seen[0] <= first
    assert 0.8 * longest <= seen[-1] <= longest < 30.0


def test_what_fails_at_once_is_probed_again_within_five_seconds() -> None:
    assert FAST[1] < 5.0
    assert {"server", "overloaded", "unreachable"}.isdisjoint(COOL_DOWNS)


def test_a_rest_ends_by_itself_and_a_shorter_word_does_not_end_it() -> None:
    breakers = Breakers()
    assert breakers.rest(place(), "rate_limited", 0.0, 5.0) is not None
    assert breakers.rest(place(), "rate_limited", 1.0, 1.0) is None

    assert breakers.state("offer:1", 4.9) == "open"
    assert breakers.state("offer:1", 5.0) == "closed"
    assert breakers.out == {}
