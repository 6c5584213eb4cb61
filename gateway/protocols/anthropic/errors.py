"""Errors: Anthropic's answers understood, and ours told in Anthropic's shape.

Source: https://platform.claude.com/docs/en/api/errors, …/api/rate-limits
"""

from collections.abc import Mapping

import msgspec

from ccapi.core.errors import GatewayError
from gateway.protocols.anthropic import wire
from gateway.protocols.base import FailureKind, UpstreamFailure
from gateway.protocols.shared.retry import retry_after

# Ours → what clients of this protocol expect: they retry 529 as overload, and know no 502.
_STATUSES = {502: 500, 503: 529}

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_BY_TYPE: dict[str, FailureKind] = {
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "credit",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
    "api_error": "server",
    "invalid_request_error": "invalid",
}

_BY_STATUS: dict[int, FailureKind] = {
    401: "auth",
    402: "credit",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

# What a 400 says → what it means for the failover. Lower case; Anthropic gives no codes for these.
_BY_MESSAGE: tuple[tuple[str, FailureKind], ...] = (
    ("credit balance is too low", "credit"),
    ("reached your specified api usage limits", "credit"),
    ("prompt is too long", "context_length"),
    ("exceed context limit", "context_length"),
    ("exceeds the context window", "context_length"),
    ("context window limit", "context_length"),
    ("blocked by content filtering policy", "content_refused"),
    ("violates our usage policy", "content_refused"),
    ("violate our usage policy", "content_refused"),
)

# Codes of `error.details`: a spend limit is a 429 that no waiting cures.
_BY_CODE: dict[str, FailureKind] = {
    "enforced_spend_limit_reached": "credit",
    "contract_spend_limit_reached": "credit",
    "linked_organization_spend_limit_reached": "credit",
}


class ErrorBody(msgspec.Struct, frozen=True):
    error: wire.WireError | str | None = None
    message: str | None = None
    request_id: str | None = None


_decode_body = msgspec.json.Decoder(ErrorBody).decode

MESSAGE_MAX = 2000  # characters of a body that is not of this protocol


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """An error answer, whatever its body is; also an error object inside a 200."""
    try:
        told = _decode_body(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # An HTML page of something on the way, or nothing.
        told = ErrorBody(message=body.decode(errors="replace").strip()[:MESSAGE_MAX] or None)
    error = told.error
    if not isinstance(error, wire.WireError):
        error = wire.WireError(message=error or told.message)
    return UpstreamFailure(
        kind=failure_kind(error, status=status),
        status=status,
        message=error.message or f"The provider answered with status {status}.",
        code=_code(error) or error.type or "",
        request_id=headers.get("request-id") or told.request_id or headers.get("x-request-id", ""),
        retry_after=retry_after(headers),
    )


def failure_kind(error: wire.WireError, *, status: int) -> FailureKind:
    """`status` is 0 for an error event inside a stream."""
    if code := _BY_CODE.get(_code(error)):
        return code
    kind = _BY_TYPE.get(error.type or "")
    if kind is None or kind == "server":
        kind = _BY_STATUS.get(status) or kind
    if kind is None:
        kind = "invalid" if 400 <= status < 500 else "server"
    if kind in ("invalid", "too_large"):
        text = (error.message or "").lower()
        return next((meaning for words, meaning in _BY_MESSAGE if words in text), kind)
    return kind


def _code(error: wire.WireError) -> str:
    code = (error.details or {}).get("error_code")
    return code if isinstance(code, str) else ""


def error_status(error: GatewayError) -> int:
    return _STATUSES.get(error.status, error.status)


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """`details` are ours, with our code as `error_code`, where the SDK looks for it."""
    status = error_status(error)
    fallback = "api_error" if status >= 500 else "invalid_request_error"
    details: wire.Json = {"error_code": error.code} | error.details
    if error.param is not None:
        details["param"] = error.param
    told: wire.Json = {
        "type": "error",
        "error": {
            "type": _TYPES.get(status, fallback),
            "message": error.message,
            "details": details,
        },
    }
    if request_id:
        told["request_id"] = request_id
    return wire.encode(told)
