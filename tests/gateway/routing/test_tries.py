"""The order of tries: repeats, keys, what is passed over, what is waited for, and when it ends."""

import asyncio

import pytest

from catalog.types import Provider
from gateway.protocols.base import UpstreamFailure
from gateway.routing import failover
from gateway.routing.blame import OWN_LIMIT
from gateway.routing.board import Board
from gateway.routing.plan import Candidate
from gateway.routing.tries import CALLS_MAX, PAUSE_S_MAX, Tries, Try
from gateway.transport.failures import AttemptFailed
from tests.gateway.routing.offers import (
    Told,
    answered,
    board,
    candidate,
    provider,
    refused,
    reset,
    stalled,
)

SERVER = answered("server", 500)


class Walk:
    """One request's tries, with a clock of its own."""

    def __init__(self, *candidates: Candidate, on: Board | None = None, now: float = 0.0) -> None:
        self.now = now
        self.board = on or board()
        self.told: list[str] = []
        self.tries = Tries(candidates, self.board, now=now, on_skip=self._skip)

    def next(self) -> Try | None:
        turn = self.tries.next(self.now)
        if turn is not None:
            self.now += turn.pause_s
        return turn

    def run(self, *failures: AttemptFailed | None) -> list[str]:
        """Call, fail with each in turn (None: it answers); the attempts as they are told."""
        for failure in failures:
            turn = self.next()
            if turn is None:
                self.told.append("end")
                return self.told
            if failure is None:
                self.board.succeeded(turn)
                self.told.append(f"{turn.candidate.model.id}=200")
                return self.told
            self.told.append(f"{turn.candidate.model.id}={failover.status_of(failure)}")
            self.tries.failed(turn, failure, self.now)
        self.told.append("more" if self.next() is not None else "end")
        return self.told

    def _skip(self, passed: Candidate, reason: str) -> None:
        self.told.append(f"{passed.model.id}={reason}")


def opened(numbers: list[int], failure: AttemptFailed, *, told: Told | None = None) -> Board:
    """A board on which these offers have failed five times, a moment ago."""
    here = board(told=told)
    for number in numbers:
        for _ in range(5):
            here.failed(Try(candidate(number), "a key"), failure, 0.0)
    return here


@pytest.mark.parametrize("failure", [SERVER, reset()])
def test_a_bad_moment_is_repeated_once_and_then_the_next_one_is_asked(
    failure: AttemptFailed,
) -> None:
    walk = Walk(candidate(1), candidate(2))
    status = failover.status_of(failure)
    assert walk.run(failure, failure, failure, failure) == [
        *[f"a/1={status}"] * 2,
        *[f"a/2={status}"] * 2,
        "end",
    ]


@pytest.mark.parametrize(
    "failure",
    [
        stalled(),
        refused(),
        answered("server", 502),
        answered("server", 0),
        answered("overloaded", 503),
        answered("rate_limited", 429),
        answered("not_found", 404),
        answered("timeout", 504),
        answered("conflict", 409),
        answered("server", 500, retry_after=3.0),
    ],
)
def test_other_failures_are_not_repeated(failure: AttemptFailed) -> None:
    told = Walk(candidate(1), candidate(2)).run(failure, None)
    assert told == [f"a/1={failover.status_of(failure)}", "a/2=200"]


@pytest.mark.parametrize("kind", ["invalid", "too_large", "content_refused"])
def test_what_is_wrong_for_everybody_ends_it(kind: str) -> None:
    failure = answered(kind, 400)  # type: ignore[arg-type]  # a kind, as the list above has it
    assert Walk(candidate(1), candidate(2)).run(failure) == ["a/1=400", "end"]


def test_a_prompt_that_is_too_long_goes_to_larger_windows_only() -> None:
    walk = Walk(
        candidate(1, window=8000),
        candidate(2, window=4000),
        candidate(3, window=8000),
        candidate(4, window=0),
        candidate(5, window=16000),
    )
    too_long = answered("context_length", 400)
    assert walk.run(too_long, too_long, None) == ["a/1=400", "a/4=400", "a/5=200"]


def test_a_repeat_waits_a_random_moment_and_its_budget_ends() -> None:
    here = board(failures=1000)
    pauses = []
    for _ in range(40):
        walk = Walk(candidate(1), on=here)
        first = walk.next()
        assert first is not None
        walk.tries.failed(first, SERVER, walk.now)
        if (again := walk.next()) is not None:
            pauses.append(again.pause_s)

    assert 10 <= len(pauses) <= 14
    assert all(0.0 <= each <= PAUSE_S_MAX for each in pauses)
    assert len(set(pauses)) > 5


def test_calls_are_bounded_and_repeats_never_cost_a_candidate_its_turn() -> None:
    full = [candidate(number) for number in range(1, CALLS_MAX + 1)]
    told = Walk(*full, on=board(retry_ratio=1.0)).run(*[SERVER] * (CALLS_MAX + 5))
    assert told == [*(f"a/{number}=500" for number in range(1, CALLS_MAX + 1)), "end"]


def test_there_is_one_deadline_over_all_calls() -> None:
    walk = Walk(candidate(1), candidate(2), candidate(3))
    first = walk.next()
    assert first is not None
    walk.now += 900.0
    walk.tries.failed(first, stalled(), walk.now)

    assert walk.next() is None


def test_an_alternative_is_one_that_could_be_called() -> None:
    here = opened([2], answered("not_found", 404))
    alone = Walk(candidate(1), candidate(2), on=here).next()
    followed = Walk(candidate(1), candidate(3), on=here).next()

    assert alone is not None
    assert followed is not None
    assert (alone.has_alternative, followed.has_alternative) == (False, True)


def test_an_open_offer_is_passed_over_while_others_are_left() -> None:
    here = opened([1], answered("overloaded", 503))
    assert Walk(candidate(1), candidate(2), on=here).run(None) == ["a/1=circuit_open", "a/2=200"]


def test_when_all_others_failed_an_open_one_is_called_once_in_spite() -> None:
    here = opened([1], answered("overloaded", 503))
    walk = Walk(candidate(1), candidate(2), on=here)
    told = walk.run(answered("overloaded", 503), SERVER)
    assert told == ["a/1=circuit_open", "a/2=503", "a/1=500", "end"]


def test_when_all_are_open_the_one_that_is_back_first_is_called() -> None:
    here = opened([1], answered("not_found", 404))  # for longer
    for _ in range(5):
        here.failed(Try(candidate(2), "a key"), SERVER, 0.0)
    told = Walk(candidate(1), candidate(2), on=here).run(None)
    assert told == ["a/1=circuit_open", "a/2=200"]
    assert [each for each in here.breakers.out if "2" in each] == []


def test_a_refused_key_is_not_called_again_and_the_operator_is_told_once() -> None:
    told = Told()
    here = board(told=told)
    assert Walk(candidate(1), on=here).run(answered("credit", 402)) == ["a/1=402", "end"]

    walk = Walk(candidate(1), on=here, now=0.1)
    assert walk.next() is None
    error = failover.final_error([], [(each.standing.cause, 1.0) for each in walk.tries.passed])
    assert error.code == "provider_misconfigured"
    assert told.alerts == [("p1", "credit")]


def test_the_providers_next_key_is_tried_and_then_the_next_candidate() -> None:
    keys = provider(1, keys=("first key", "second key"))
    told = Walk(candidate(1, keys), candidate(2)).run(
        answered("auth", 401), answered("auth", 401), None
    )
    assert told == ["a/1=401", "a/1=401", "a/2=200"]


def test_a_refused_key_takes_every_offer_of_the_provider_out() -> None:
    shared = provider(1)
    here = board()
    Walk(candidate(1, shared), on=here).run(answered("auth", 401))

    told = Walk(candidate(2, shared), candidate(3), on=here, now=0.1).run(None)

    assert told == ["a/2=circuit_open", "a/3=200"]


def _fails_five_times(of: Provider, failure: AttemptFailed) -> list[str]:
    here = board()
    for _ in range(5):
        here.failed(Try(candidate(1, of), "a key"), failure, 0.0)
    return Walk(candidate(2, of), candidate(3), on=here, now=0.1).run(None)


def test_a_provider_is_out_as_a_whole_only_where_its_connection_is() -> None:
    shared = provider(1)
    assert _fails_five_times(shared, refused()) == ["a/2=circuit_open", "a/3=200"]
    for failure in (SERVER, stalled(), reset(), answered("auth", 403), answered("not_found", 404)):
        assert _fails_five_times(shared, failure) == ["a/2=200"]


def test_a_short_retry_after_is_waited_for_where_nobody_else_is_left() -> None:
    walk = Walk(candidate(1), candidate(2))
    limited = answered("rate_limited", 429, retry_after=4.0)
    assert walk.run(limited, answered("rate_limited", 429, retry_after=2.0), None) == [
        "a/1=429",
        "a/2=429",
        "a/2=200",
    ]
    assert 2.0 <= walk.now <= 2.0 + PAUSE_S_MAX


def test_it_is_waited_for_once_and_not_for_long() -> None:
    limited = answered("rate_limited", 429, retry_after=1.0)
    assert Walk(candidate(1)).run(limited, limited) == ["a/1=429", "a/1=429", "end"]
    long = answered("rate_limited", 429, retry_after=10.5)
    assert Walk(candidate(1)).run(long) == ["a/1=429", "end"]
    assert Walk(candidate(1)).run(answered("rate_limited", 429)) == ["a/1=429", "end"]


def test_a_resting_offer_is_waited_for_by_others_too() -> None:
    here = board()
    here.failed(Try(candidate(1), "a key"), answered("rate_limited", 429, retry_after=3.0), 0.0)

    walk = Walk(candidate(1), on=here, now=1.0)
    assert walk.run(None) == ["a/1=200"]
    assert 3.0 <= walk.now <= 3.0 + PAUSE_S_MAX
    told = Walk(candidate(1), candidate(2), on=here, now=1.0).run(None)
    assert told == ["a/1=cooling_down", "a/2=200"]


def test_our_own_limit_moves_on_and_takes_nothing_out_of_service() -> None:
    here = board()
    limit = AttemptFailed(
        UpstreamFailure(
            kind="rate_limited", status=429, message="", code=OWN_LIMIT, retry_after=30.0
        )
    )
    for _ in range(10):
        assert Walk(candidate(1), candidate(2), on=here).run(limit, None) == ["a/1=429", "a/2=200"]
    assert here.breakers.out == {}


def test_only_where_all_are_rate_limited_is_it_a_429_with_the_shortest_wait() -> None:
    limited = [answered("rate_limited", 429, retry_after=each) for each in (20.0, 12.0, 40.0)]
    error = failover.final_error(limited, [("rate_limited", 15.0)])
    assert (error.code, error.retry_after) == ("upstream_rate_limited", 12.0)

    mixed = failover.final_error(limited, [("server", 3.0)])
    assert (mixed.code, mixed.retry_after) == ("upstream_overloaded", 3.0)
    none = failover.final_error([], [("server", 3.0), ("rate_limited", 9.0)])
    assert (none.code, none.retry_after) == ("no_provider_available", 3.0)


def test_one_call_is_the_probe_and_the_others_pass_over() -> None:
    async def main() -> None:
        here = opened([1], SERVER)
        first, second = (Walk(candidate(1), candidate(2), on=here, now=2.0) for _ in range(2))

        probe, other = first.next(), second.next()
        assert probe is not None
        assert other is not None
        assert probe.probes == other.probes == ("offer:1",)
        assert await here.claim(probe)
        late = Walk(candidate(1), candidate(2), on=here, now=2.1)
        assert late.run(None) == ["a/1=circuit_open", "a/2=200"]

        here.succeeded(probe)
        assert here.breakers.out == {}
        assert await here.claim(other)

    asyncio.run(main())


def test_a_probe_that_came_to_nothing_leaves_it_to_the_next_one() -> None:
    async def main() -> None:
        here = opened([1], SERVER)
        probe = Walk(candidate(1), on=here, now=2.0).next()
        assert probe is not None
        assert await here.claim(probe)

        here.released(probe)

        following = Walk(candidate(1), on=here, now=2.0).next()
        assert following is not None
        assert following.probes == ("offer:1",)

    asyncio.run(main())
