"""Errors: Gemini's answers understood, and ours told in Google's shape.

Google tells the meaning by `status` (a gRPC code), and by `details`: `ErrorInfo` has a reason,
`RetryInfo` how long to wait, `QuotaFailure` which quota is used up. A quota by the minute passes;
one by the day, one of zero, and credits that are used up do not. Source:
https://ai.google.dev/gemini-api/docs/troubleshooting, https://google.aip.dev/193
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ccapi.core.errors import GatewayError
from gateway.ir.events import Failed
from gateway.protocols.base import FailureKind, UpstreamFailure
from gateway.protocols.gemini import wire
from gateway.protocols.shared.retry import RETRY_AFTER_S_MAX, retry_after

MESSAGE_MAX = 2000  # characters of a body that is not of this protocol
_TYPES = "type.googleapis.com/google.rpc."

_BY_WORD: dict[str, FailureKind] = {
    "INVALID_ARGUMENT": "invalid",
    "OUT_OF_RANGE": "invalid",
    "FAILED_PRECONDITION": "auth",  # no free tier in this place, or billing is not set up
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "NOT_FOUND": "not_found",
    "ABORTED": "conflict",
    "ALREADY_EXISTS": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "CANCELLED": "server",
    "DEADLINE_EXCEEDED": "timeout",
    "UNAVAILABLE": "overloaded",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "DATA_LOSS": "server",
    "UNIMPLEMENTED": "invalid",
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
_BY_REASON: dict[str, FailureKind] = {
    "API_KEY_INVALID": "auth",
    "API_KEY_EXPIRED": "auth",
    "API_KEY_SERVICE_BLOCKED": "auth",
    "SERVICE_DISABLED": "auth",
    "CONSUMER_SUSPENDED": "auth",
    "BILLING_DISABLED": "credit",
}
_CONTEXT = re.compile(
    r"input token count.{0,60}exceeds|exceeds the maximum number of tokens"
    r"|context (?:length|window)|maximum number of tokens allowed",
    re.IGNORECASE | re.DOTALL,
)
_SIZE = re.compile(r"payload size exceeds|request (?:is )?too large", re.IGNORECASE)
_POLICY = re.compile(
    r"blocked (?:by|due to)|violat\w+ .{0,60}polic|prohibited content|safety polic", re.IGNORECASE
)
_KEY = re.compile(r"api key (?:not valid|expired|not found)|invalid api key", re.IGNORECASE)
_CREDIT = re.compile(
    r"credits? (?:are|is) depleted|prepayment|billing account|enable billing"
    r"|spend(?:ing)? (?:cap|limit)|dunning",
    re.IGNORECASE,
)

# Ours → the status that clients of this protocol expect: they know no 502 and no 529.
_STATUSES = {408: 504, 502: 503, 529: 503}
_WORDS = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class WireError(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    details: list[dict[str, Any]] | None = None


class Body(msgspec.Struct):
    error: WireError | str | None = None
    message: str | None = None


_decode_body = msgspec.json.Decoder(Body | list[Body]).decode


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """An error answer, whatever its body is; also an error object inside a 200."""
    error = _read(body)
    told = error.code if isinstance(error.code, int) and 400 <= error.code < 600 else 0
    wait = _retry_delay(error)
    return UpstreamFailure(
        kind=_kind(error, told if status < 400 else status),
        status=status,
        message=error.message or f"The provider answered with status {status}.",
        code=_reason(error) or error.status or "",
        request_id=headers.get("x-request-id") or headers.get("x-goog-request-id", ""),
        retry_after=retry_after(headers) if wait is None else wait,
    )


def failure_in_stream(data: bytes) -> Failed:
    """An error object that came as a chunk."""
    error = _read(data)
    status = error.code if isinstance(error.code, int) else 0
    message = error.message or "The provider broke the stream off with an error."
    return Failed(kind=_kind(error, status), message=message, code=error.status or "")


def _read(body: bytes) -> WireError:
    try:
        told = _decode_body(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # An HTML page of something on the way, or nothing.
        text = body.decode(errors="replace").strip()[:MESSAGE_MAX]
        return WireError(message="" if text.startswith("<") else text)
    if isinstance(told, list):  # a stream without `alt=sse`
        told = told[0] if told else Body()
    if isinstance(told.error, WireError):
        return told.error
    return WireError(message=told.error or told.message)


def _kind(error: WireError, status: int) -> FailureKind:
    text = error.message or ""
    reason = _BY_REASON.get(_reason(error))
    if reason is not None:
        return reason
    kind = _BY_WORD.get(error.status or "") or _BY_STATUS.get(status)
    if kind is None:
        kind = "invalid" if 400 <= status < 500 else "server"
    if status == 413:
        kind = "too_large"
    if kind == "rate_limited":
        return "credit" if _used_up(error) else kind
    if kind in ("auth", "invalid") and _CREDIT.search(text):
        return "credit"
    if kind in ("invalid", "too_large"):
        by_text: tuple[tuple[re.Pattern[str], FailureKind], ...] = (
            (_KEY, "auth"),
            (_CONTEXT, "context_length"),
            (_SIZE, "too_large"),
            (_POLICY, "content_refused"),
        )
        return next((meaning for words, meaning in by_text if words.search(text)), kind)
    return kind


def _used_up(error: WireError) -> bool:
    """Whether no waiting of reasonable length cures this 429."""
    if _CREDIT.search(error.message or ""):
        return True
    for violation in _violations(error):
        if "PerDay" in str(violation.get("quotaId", "")) or violation.get("quotaValue") == "0":
            return True
    return False


def _details(error: WireError, kind: str) -> list[dict[str, Any]]:
    return [told for told in error.details or () if told.get("@type") == _TYPES + kind]


def _reason(error: WireError) -> str:
    return next((str(told.get("reason", "")) for told in _details(error, "ErrorInfo")), "")


def _violations(error: WireError) -> list[dict[str, Any]]:
    return [
        violation
        for told in _details(error, "QuotaFailure")
        for violation in told.get("violations") or ()
        if isinstance(violation, dict)
    ]


def _retry_delay(error: WireError) -> float | None:
    """`RetryInfo.retryDelay`, as proto JSON writes a duration: `"17.5s"`."""
    for told in _details(error, "RetryInfo"):
        text = str(told.get("retryDelay", ""))
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", text):
            return min(float(text[:-1]), RETRY_AFTER_S_MAX)
    return None


def error_status(error: GatewayError) -> int:
    return _STATUSES.get(error.status, error.status)


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """Google's shape; our own code is the reason in its `ErrorInfo`."""
    status = error_status(error)
    details = error.details
    if error.status == 500:
        details = {"request_id": request_id}  # of our own faults that is all that is told
    told: list[wire.Json] = [
        {
            "@type": _TYPES + "ErrorInfo",
            "reason": error.code.upper(),
            "domain": "ccapi",
            # Google's metadata is a table of texts.
            "metadata": {name: _text(value) for name, value in details.items()},
        }
    ]
    if error.retry_after is not None:
        told.append({"@type": _TYPES + "RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    if error.status == 400 and error.param:
        violation = {"field": error.param, "description": error.message}
        told.append({"@type": _TYPES + "BadRequest", "fieldViolations": [violation]})
    word = _WORDS.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    body = {"code": status, "message": error.message, "status": word, "details": told}
    return wire.encode({"error": body})


def _text(value: object) -> str:
    return value if isinstance(value, str) else wire.encode(value).decode()
