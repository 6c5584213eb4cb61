"""The budget of repeats."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.budget import SAVED_MAX, RetryBudget


@given(st.lists(st.booleans(), max_size=2000))
def test_repeats_stay_under_a_tenth_of_the_calls_and_what_was_saved(calls: list[bool]) -> None:
    budget = RetryBudget(0.1)
    repeats = 0

    for at, wants_repeat in enumerate(calls, start=1):
        budget.earn(1)
        repeats += wants_repeat and budget.spend(1)
        assert repeats <= SAVED_MAX + 0.1 * at


def test_a_storm_of_failures_soon_has_no_repeats_left() -> None:
    budget = RetryBudget(0.1)
    repeated = 0

    for _ in range(1000):
        budget.earn(1)
        repeated += budget.spend(1)

    assert 105 <= repeated <= 110


def test_each_provider_has_its_own_and_a_ratio_of_zero_has_none() -> None:
    budget = RetryBudget(0.1)

    for _ in range(20):
        budget.spend(1)

    assert not budget.spend(1)
    assert budget.spend(2)
    assert not RetryBudget(0.0).spend(1)
