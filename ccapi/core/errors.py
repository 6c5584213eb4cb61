"""The one tree of errors.

Each class knows its code, its HTTP status, its type, whether a client may retry, and whose fault it
is. Codes and types are the contract with customers; a protocol renders them in its own shape
(`gateway.protocols`), REST views in ours (`ccapi.core.rest`). A message says what happened, with
which value, and what to do next; it never carries a key or a prompt.
"""

from typing import Any, ClassVar, Literal

Fault = Literal["client", "gateway", "upstream"]


class GatewayError(Exception):
    """Something the client must be told about.

    Args of the constructor: the message; `param`, the field at fault; `details`, machine-readable
    facts (amounts are strings in US dollars); `retry_after` in seconds; `headers`, more response
    headers.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "gateway"
    retryable: ClassVar[bool] = False
    default_retry_after: ClassVar[float | None] = None

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message or "Internal error."
        self.param = param
        self.details = details or {}
        self.retry_after = retry_after if retry_after is not None else self.default_retry_after
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The CCAPI shape: `{"error": {message, type, code, details[, param]}}`."""
        error: dict[str, Any] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "details": self.details,
        }
        if self.status == 400:
            error["param"] = self.param
        return {"error": error}

    def http_headers(self) -> dict[str, str]:
        """`Retry-After` where there is one, `x-should-retry: false` where waiting cannot cure."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after + 0.499)))
        elif self.status == 402:
            headers["x-should-retry"] = "false"
        return headers


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_parameter"
    fault = "client"


class InvalidJSON(InvalidRequest):
    code = "invalid_json"


class MissingParameter(InvalidRequest):
    code = "missing_parameter"


class InvalidParameter(InvalidRequest):
    code = "invalid_parameter"


class UnsupportedParameter(InvalidRequest):
    """The target cannot honour this parameter, and ignoring it would change the answer."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class Unauthorized(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "unauthorized"
    fault = "client"


class KeyExpired(Unauthorized):
    code = "key_expired"


class KeyRevoked(Unauthorized):
    code = "key_revoked"


class PaymentRequired(GatewayError):
    status = 402
    type = "billing_error"
    code = "insufficient_credits"
    fault = "client"


class RequestExceedsBalance(PaymentRequired):
    code = "request_exceeds_balance"


class InFlightReservations(PaymentRequired):
    """The balance would do, but open holds fill it: wait and try again."""

    code = "in_flight_reservations"
    retryable = True
    default_retry_after = 2.0


class Forbidden(GatewayError):
    status = 403
    type = "permission_error"
    code = "endpoint_not_allowed"
    fault = "client"


class ModelNotAllowed(Forbidden):
    code = "model_not_allowed"


class IpNotAllowed(Forbidden):
    code = "ip_not_allowed"


class AccountSuspended(Forbidden):
    code = "account_suspended"


class InvalidLink(Forbidden):
    """A signed link that we have not made."""

    code = "invalid_link"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "route_not_found"
    fault = "client"


class RouteNotFound(NotFound):
    code = "route_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class ProviderNotFound(NotFound):
    code = "provider_not_found"


class GroupNotFound(NotFound):
    code = "group_not_found"


class KeyNotFound(NotFound):
    code = "key_not_found"


class GenerationNotFound(NotFound):
    code = "generation_not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class DeliveryNotFound(NotFound):
    """A webhook's."""

    code = "delivery_not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    fault = "client"


class RequestTimeout(GatewayError):
    """The request itself took too long to arrive."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"
    fault = "client"
    retryable = True


class LinkExpired(GatewayError):
    """What was there is kept no longer."""

    status = 410
    type = "invalid_request_error"
    code = "link_expired"
    fault = "client"


class RequestTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    fault = "client"


class RateLimited(GatewayError):
    status = 429
    type = "rate_limit_error"
    code = "requests_per_minute"
    fault: ClassVar[Fault] = "client"
    retryable = True
    default_retry_after = 1.0


class RequestsPerMinute(RateLimited):
    code = "requests_per_minute"


class TokensPerMinute(RateLimited):
    code = "tokens_per_minute"


class ConcurrentRequests(RateLimited):
    code = "concurrent_requests"


class UpstreamRateLimited(RateLimited):
    """Every candidate said 429."""

    code = "upstream_rate_limited"
    fault = "upstream"


class InternalError(GatewayError):
    pass


class UpstreamFailed(GatewayError):
    status = 502
    type = "upstream_error"
    code = "upstream_error"
    fault = "upstream"
    retryable = True


class UpstreamUnreachable(UpstreamFailed):
    code = "upstream_unreachable"


class ProviderMisconfigured(UpstreamFailed):
    """The provider refused our key.

    Or our account there has no money: never the customer's fault.
    """

    code = "provider_misconfigured"


class NoProviderAvailable(GatewayError):
    status = 503
    type = "upstream_error"
    code = "no_provider_available"
    fault = "upstream"
    retryable = True
    default_retry_after = 5.0


class UpstreamOverloaded(NoProviderAvailable):
    code = "upstream_overloaded"


class BillingUnavailable(GatewayError):
    """PostgreSQL is away: no admission, never a free answer."""

    status = 503
    type = "api_error"
    code = "billing_unavailable"
    retryable = True
    default_retry_after = 2.0


class ModelNotPriced(GatewayError):
    status = 503
    type = "api_error"
    code = "model_not_priced"
    default_retry_after = 60.0


class Overloaded(GatewayError):
    status = 503
    type = "api_error"
    code = "overloaded"
    retryable = True
    default_retry_after = 2.0


class UpstreamTimeout(GatewayError):
    status = 504
    type = "upstream_error"
    code = "upstream_timeout"
    fault = "upstream"
    retryable = True
