"""Error answers: `{"error": "text"}`, so the status and the text say what went wrong."""

import re
from collections.abc import Mapping

from ccapi.core.errors import GatewayError
from gateway.ir.events import Failed
from gateway.ir.failure import FailureKind
from gateway.protocols.base import UpstreamFailure
from gateway.protocols.ollama import wire
from gateway.protocols.shared.retry import retry_after

MESSAGE_LENGTH_MAX = 2000

_STATUSES: dict[int, FailureKind] = {
    400: "invalid",
    401: "auth",
    402: "credit",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    429: "rate_limited",
    499: "server",  # Ollama's own word for a runner that went away
    503: "overloaded",
    504: "timeout",
}
_BY_TEXT: tuple[tuple[re.Pattern[str], FailureKind], ...] = (
    (re.compile(r"model .{0,200}not found|try pulling it first", re.I | re.S), "not_found"),
    (re.compile(r"exceeds? (?:the )?(?:available )?context|input length exceeds", re.I),
     "context_length"),
    (re.compile(r"server busy|maximum pending requests", re.I), "overloaded"),
    (re.compile(r"usage limit|upgrade for higher limits", re.I), "credit"),
)  # fmt: skip


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """`headers` has lower-case names; also for an error object inside a 200."""
    message, code = _read(body)
    return UpstreamFailure(
        kind=_kind(status, message),
        status=status,
        message=message or f"The provider answered {status} without an explanation.",
        code=code,
        request_id=headers.get("x-request-id", ""),
        retry_after=retry_after(headers),
    )


def failure_in_stream(data: bytes) -> Failed:
    """An error that came as a line."""
    message, code = _read(data)
    message = message or "The provider broke the stream off with an error."
    return Failed(kind=_kind(0, message), message=message, code=code)


def _kind(status: int, message: str) -> FailureKind:
    for pattern, kind in _BY_TEXT:
        if pattern.search(message):
            return kind
    if 400 <= status < 500:
        return _STATUSES.get(status, "invalid")
    return _STATUSES.get(status, "server")


def _read(body: bytes) -> tuple[str, str]:
    """The text, and a code where a server in front speaks OpenAI's shape."""
    try:
        told = wire.decode_any(body)
    except wire.DecodeError:
        text = body[:MESSAGE_LENGTH_MAX].decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else text), ""
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict):
        return str(error.get("message") or "")[:MESSAGE_LENGTH_MAX], str(error.get("code") or "")
    return (error[:MESSAGE_LENGTH_MAX] if isinstance(error, str) else ""), ""


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """Ollama's shape; our code beside it, which its clients ignore."""
    body: dict[str, object] = {"error": error.message, "code": error.code}
    if error.details:
        body["details"] = error.details
    if error.status == 500 and request_id:
        body["request_id"] = request_id
    return wire.encode(body)
