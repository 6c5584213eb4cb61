"""What a failed attempt means: whether another may take over, and what the client is told.

The table is the published contract: connect errors, time-outs, 408, 409, 429, 5xx, broken or empty
streams, our own credit or key at the provider, a missing model and a prompt too long for this model
move on; what is wrong for every provider (400, 413, 422, a refused prompt) does not.
"""

from ccapi.core.errors import (
    ContextLengthExceeded,
    GatewayError,
    InvalidParameter,
    ModelNotFound,
    ProviderMisconfigured,
    RequestTooLarge,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.protocols.base import FailureKind
from gateway.transport.client import AttemptFailed

FINAL: frozenset[FailureKind] = frozenset({"invalid", "too_large", "content_refused"})
# On the direct path the provider's own answer to a wrong request reaches the client as it came.
PASSED_ON = frozenset({400, 404, 413, 422})

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
            return UpstreamRateLimited(
                "Every provider of this model is rate limiting us.",
                retry_after=upstream.retry_after,
            )
        case "rate_limited" | "overloaded":
            return UpstreamOverloaded(
                "The provider is overloaded.", retry_after=upstream.retry_after
            )
        case "timeout":
            return UpstreamTimeout("The provider timed out." if failure.body else text)
        case "auth" | "credit":
            return ProviderMisconfigured(
                "The provider did not accept our credentials. This is our fault, not your key's."
            )
        case "not_found":
            return ModelNotFound("The provider does not know this model at this time.")
        case _ if failure.error_code == UpstreamUnreachable.code:
            return UpstreamUnreachable(text)
        case _:
            return UpstreamFailed("The provider failed to answer." if failure.body else text)
