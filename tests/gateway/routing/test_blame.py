"""What each failure says of whom."""

import math

import pytest

from gateway.routing.blame import ALL, OWN_LIMIT, Cause, Part, blame, rest_of, retry_after_s
from gateway.transport.failures import AttemptFailed
from tests.gateway.routing.offers import answered, refused, reset, stalled

TABLE: list[tuple[AttemptFailed, Part | None, Cause, bool]] = [
    (refused(), "provider", "unreachable", False),
    (reset(), "offer", "unreachable", False),
    (stalled(), "offer", "timeout", False),
    (answered("server", 500), "offer", "server", False),
    (answered("server", 0), "offer", "server", False),
    (answered("overloaded", 503), "offer", "overloaded", False),
    (answered("not_found", 404), "offer", "not_found", False),
    (answered("rate_limited", 429), "offer_key", "rate_limited", False),
    (answered("auth", 401), "key", "auth", True),
    (answered("credit", 402), "key", "credit", True),
    (answered("credit", 429), "key", "credit", True),
    # What a text says may be the customer's words, quoted; a 403 may be about this model only.
    (answered("credit", 400), "key", "credit", False),
    (answered("auth", 400), "key", "auth", False),
    (answered("auth", 403), "offer_key", "auth", False),
    (answered("conflict", 409), None, "conflict", False),
    (answered("context_length", 400), None, "context_length", False),
    (answered("content_refused", 400), None, "content_refused", False),
    (answered("invalid", 422), None, "invalid", False),
    (answered("too_large", 413), None, "too_large", False),
]


@pytest.mark.parametrize(("failure", "part", "cause", "at_once"), TABLE)
def test_a_failure_blames(
    failure: AttemptFailed, part: Part | None, cause: Cause, at_once: bool
) -> None:
    said = blame(failure)

    assert (said.part, said.cause, said.at_once) == (part, cause, at_once)
    assert said.part not in said.works


def test_a_request_that_is_wrong_shows_that_everything_works() -> None:
    assert blame(answered("invalid", 400)).works == ALL
    assert blame(refused()).works == blame(stalled()).works == ()
    assert "provider" in blame(answered("server", 500)).works


def test_our_own_limit_says_nothing_of_the_provider() -> None:
    failure = answered("rate_limited", 429, retry_after=5)
    failure.failure = type(failure.failure)(
        kind="rate_limited", status=429, message="", code=OWN_LIMIT, retry_after=5
    )

    said = blame(failure)

    assert (said.part, said.works, said.rest_s) == (None, (), None)


@pytest.mark.parametrize(
    ("said", "told_s", "rest_s"),
    [
        (None, None, None),
        (0.0, 0.0, 0.0),
        (2.5, 2.5, 2.5),
        (86400.0, 3600.0, 29.0),
        (math.inf, 3600.0, 29.0),
        (-1.0, None, None),
        (math.nan, None, None),
    ],
)
def test_a_retry_after_is_bounded_and_nonsense_is_none(
    said: float | None, told_s: float | None, rest_s: float | None
) -> None:
    failure = answered("rate_limited", 429, retry_after=said)

    assert retry_after_s(failure) == told_s
    assert rest_of(failure) == rest_s
