"""What a failed attempt means: whether another may take over, and what the client is told.

The table is the published contract: connect errors, time-outs, 408, 409, 429, 5xx, broken or empty
streams, our own credit or key at the provider, a missing model and a prompt too long for this model
move on; what is wrong for every provider (400, 413, 422, a refused prompt) does not. In what order,
and how often, is `tries`; what it means for other requests, `blame`.
"""

from collections.abc import Sequence

from ccapi.core.errors import (
    ContextLengthExceeded,
    GatewayError,
    InvalidParameter,
    ModelNotFound,
    NoProviderAvailable,
    ProviderMisconfigured,
    RequestTooLarge,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.protocols.base import FailureKind
from gateway.routing.blame import Cause, retry_after_s
from gateway.transport.failures import AttemptFailed

FINAL: frozenset[FailureKind] = frozenset({"invalid", "too_large", "content_refused"})
# On the direct path the provider's own answer to a wrong request reaches the client as it came.
PASSED_ON = frozenset({400, 404, 413, 422})

# Whether the key is the trouble, so that the provider's next one may do.
OF_THE_KEY: frozenset[FailureKind] = frozenset({"auth", "credit", "rate_limited"})
# A Retry-After up to this, in seconds, is waited for where nobody else is left.
WAIT_S_MAX = 10.0

# What the client can mend is told in the provider's words.
CLIENT_ERRORS: dict[FailureKind, type[GatewayError]] = {
    "context_length": ContextLengthExceeded,
    "invalid": InvalidParameter,
    "content_refused": InvalidParameter,
    "too_large": RequestTooLarge,
}


def moves_on(failure: AttemptFailed) -> bool:
    """Whether another candidate may succeed where this one failed."""
    return failure.failure.kind not in FINAL


def is_passed_on(failure: AttemptFailed) -> bool:
    """Whether the client gets the provider's own answer: an object, not the page of a proxy."""
    return (
        failure.is_direct
        and failure.failure.status in PASSED_ON
        and failure.body.lstrip().startswith(b"{")
    )


def is_repeatable(failure: AttemptFailed) -> bool:
    """Whether the same offer may be asked once more at once.

    A 500 and a connection that broke before any byte of an answer are commonly one machine's bad
    moment, and nothing was delivered. A refused connection or an overload would only be met again.
    """
    if failure.failure.status == 500:
        return not retry_after_s(failure)
    return failure.connected and not failure.answered


def is_of_the_key(failure: AttemptFailed) -> bool:
    """Whether another key of the same provider may succeed at once."""
    return failure.failure.kind in OF_THE_KEY


def wait_s(failure: AttemptFailed) -> float | None:
    """How long to wait before this offer may be asked again; None where it is not worth it."""
    if failure.failure.kind not in ("rate_limited", "overloaded"):
        return None
    said = retry_after_s(failure)
    return said if said is not None and said <= WAIT_S_MAX else None


def final_error(
    failures: Sequence[AttemptFailed], passed: Sequence[tuple[Cause, float]]
) -> GatewayError:
    """What the client is told when nobody answered.

    `passed` has why, and for how many seconds still, each candidate that was not called is out of
    service. The last failure counts; where every candidate was rate limited it is a 429, with the
    shortest time to wait.
    """
    all_limited = all(each.failure.kind == "rate_limited" for each in failures) and all(
        cause == "rate_limited" for cause, _ in passed
    )
    waits = [said for each in failures if (said := retry_after_s(each)) is not None]
    waits += [seconds for _, seconds in passed]
    soonest = min(waits, default=None)
    if failures:
        error = error_for(failures[-1], all_rate_limited=all_limited)
    elif not passed:
        error = NoProviderAvailable("No provider of this model is available at this time.")
    elif all_limited:
        error = _all_limited()
    elif all(cause in ("auth", "credit") for cause, _ in passed):
        error = _misconfigured()
    else:
        error = NoProviderAvailable("Every provider of this model is out of service just now.")
    if soonest is not None and error.status in (429, 503):
        error.retry_after = soonest
    return error


def status_of(failure: AttemptFailed) -> int:
    """The status told in `x-ccapi-attempts`: the provider's, or ours where it gave none."""
    return failure.failure.status or error_for(failure, all_rate_limited=False).status


def error_for(failure: AttemptFailed, *, all_rate_limited: bool) -> GatewayError:
    """Our error for the last failure.

    The message is the provider's only where the client can act on it.
    """
    upstream = failure.failure
    text = upstream.message
    if upstream.kind in CLIENT_ERRORS:
        return CLIENT_ERRORS[upstream.kind](text)
    match upstream.kind:
        case "rate_limited" if all_rate_limited:
            return _all_limited(retry_after_s(failure))
        case "rate_limited" | "overloaded":
            return UpstreamOverloaded(
                "The provider is overloaded.", retry_after=retry_after_s(failure)
            )
        case "timeout":
            return UpstreamTimeout("The provider timed out." if failure.body else text)
        case "auth" | "credit":
            return _misconfigured()
        case "not_found":
            return ModelNotFound("The provider does not know this model at this time.")
        case _ if failure.error_code == UpstreamUnreachable.code:
            if not failure.answered:
                return UpstreamUnreachable(text)
            return UpstreamFailed("The provider's connection broke in the middle of its answer.")
        case _:
            return UpstreamFailed("The provider failed to answer." if failure.body else text)


def _all_limited(retry_after: float | None = None) -> GatewayError:
    return UpstreamRateLimited(
        "Every provider of this model is rate limiting us.", retry_after=retry_after
    )


def _misconfigured() -> GatewayError:
    return ProviderMisconfigured(
        "The provider did not accept our credentials. This is our fault, not your key's."
    )
