"""Whose fault a failed attempt was, for the circuit breakers: which part of the way, how surely.

The way to a model has four parts: the provider's connection, our key there, the offer (one model at
one provider), and the two together (what this key may do with this offer). A failure takes one of
them out of service and shows that others work. What the client did wrong is nobody's fault here.
"""

from typing import Literal, NamedTuple

from gateway.ir.failure import FailureKind
from gateway.transport.failures import AttemptFailed

Part = Literal["provider", "key", "offer", "offer_key"]
Cause = FailureKind | Literal["unreachable"]

ALL: tuple[Part, ...] = ("provider", "key", "offer", "offer_key")
# A Retry-After rests an offer for so long at most, in seconds, whatever it says.
REST_S_MAX = 29.0


class Blame(NamedTuple):
    """`part` None: nobody's. `at_once`: no second failure is needed to believe it."""

    part: Part | None
    cause: Cause
    works: tuple[Part, ...] = ()  # what the failure shows to be in order
    at_once: bool = False
    rest_s: float | None = None  # the provider said how long to stay away


# What says more of the request than of who was asked.
OF_THE_REQUEST: frozenset[FailureKind] = frozenset(
    {"conflict", "context_length", "content_refused", "invalid", "too_large"}
)
# The code of a 429 that is ours: the provider was not asked, and nothing is known of its health.
OWN_LIMIT = "provider_limit"


def blame(failure: AttemptFailed) -> Blame:
    """What one failure says."""
    upstream = failure.failure
    kind, status = upstream.kind, upstream.status
    if upstream.code == OWN_LIMIT:
        return Blame(None, kind)
    if not failure.connected:
        return Blame("provider", "unreachable")
    if not failure.answered:
        return Blame("offer", "unreachable")
    if kind in OF_THE_REQUEST:
        return Blame(None, kind, ALL)
    if kind in ("auth", "credit"):
        return _of_credentials(kind, status)
    if kind == "rate_limited":
        rest_s = rest_of(failure)
        return Blame("offer_key", kind, ("provider", "key", "offer"), rest_s=rest_s)
    if kind == "overloaded":
        return Blame("offer", kind, ("provider", "key"), rest_s=rest_of(failure))
    if kind == "not_found":
        return Blame("offer", kind, ("provider", "key"))
    # A time-out of ours, and what came in the middle of an answer, have no status.
    return Blame("offer", kind, ("provider",) if status else ())


def _of_credentials(kind: FailureKind, status: int) -> Blame:
    if kind == "auth" and status == 403:
        # Often no word on the key as such: it may not use this model.
        return Blame("offer_key", kind, ("provider",))
    # Read from the text of a 400, it may be the customer's own words that were quoted: one such
    # answer must not take our key away from everybody.
    return Blame("key", kind, ("provider",), at_once=status not in (0, 400))


def rest_of(failure: AttemptFailed) -> float | None:
    """How long to stay away, in seconds, by its Retry-After; None where it says none."""
    said = retry_after_s(failure)
    return None if said is None else min(said, REST_S_MAX)


def retry_after_s(failure: AttemptFailed) -> float | None:
    """The upstream's Retry-After in seconds, at most an hour; None for none, or for nonsense."""
    said = failure.failure.retry_after
    # Not a number: every comparison with it is false.
    if said is None or not said >= 0.0:
        return None
    return min(said, 3600.0)
