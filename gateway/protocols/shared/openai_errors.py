"""Error answers in OpenAI's shape, of its chat and its Responses API: understood, and ours written.

Vendors agree on `{"error": {"message", "type", "code"}}` and on little else: some put the error's
fields at the top, some a bare string, Google an array around it. What went wrong is told by the
code first, by the text where vendors have no code for it, by the status last.

Sources: https://platform.openai.com/docs/guides/error-codes,
https://api-docs.deepseek.com/quick_start/error_codes, https://console.groq.com/docs/errors,
https://openrouter.ai/docs/api-reference/errors
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ccapi.core.errors import GatewayError
from gateway.ir.events import Failed
from gateway.protocols.base import FailureKind, UpstreamFailure
from gateway.protocols.shared import raws
from gateway.protocols.shared.retry import retry_after

MESSAGE_LENGTH_MAX = 2000

_decode_any = msgspec.json.Decoder().decode

_CODES: dict[str, FailureKind] = {
    "insufficient_quota": "credit",
    "billing_hard_limit_reached": "credit",
    "billing_not_active": "credit",
    "insufficient_balance": "credit",
    "1113": "credit",  # Z.ai: balance exhausted, sent with a 429
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_policy_violation": "content_refused",
    "content_filter": "content_refused",
    "responsibleaipolicyviolation": "content_refused",
    "moderation_blocked": "content_refused",
    "bio_policy": "content_refused",  # from here on: the Responses API's own
    "misalignment_policy_violation": "content_refused",
    "image_content_policy_violation": "content_refused",
    "invalid_prompt": "content_refused",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "1301": "content_refused",  # Z.ai: unsafe content
    "model_not_found": "not_found",
    "model_not_available": "not_found",
    "model_decommissioned": "not_found",  # Groq
    "1211": "not_found",  # Z.ai: unknown model
    "invalid_api_key": "auth",
    "account_deactivated": "auth",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "too_many_requests": "rate_limited",
    "1302": "rate_limited",  # Z.ai: concurrency
    "1305": "rate_limited",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "engine_overloaded": "overloaded",
    "engine_overloaded_error": "overloaded",  # Moonshot
    "service_unavailable": "overloaded",
    "capacity_exceeded": "overloaded",
    "timeout": "timeout",
    "request_timeout": "timeout",
}  # fmt: skip

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
    498: "overloaded",  # Groq: flex capacity
    503: "overloaded",
    504: "timeout",
    524: "timeout",  # Cloudflare, in front of many
    529: "overloaded",
}

# Types say less than codes and statuses; they count where there is neither.
_TYPES: dict[str, FailureKind] = {
    "invalid_request_error": "invalid",
    "authentication_error": "auth",
    "permission_error": "auth",
    "not_found_error": "not_found",
}

_CONTEXT = re.compile(
    r"maximum context length|context[ _]length|context window|too many tokens|prompt is too long"
    r"|input is too long|maximum prompt length|reduce the length of the (?:messages|prompt|input)"
    r"|exceeds? the (?:model'?s? )?(?:maximum|max|limit) (?:number of )?(?:input )?tokens"
    r"|input token count .{0,40}exceeds",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"insufficient (?:balance|credits?|quota|funds)|exceeded your current quota|out of credits"
    r"|used all available credits|monthly spending limit|requires more credits"
    r"|more credits are required",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"content (?:management )?policy|usage polic(?:y|ies)|safety system|content[ _]filter"
    r"|flagged (?:by|for|as)|requires moderation|violat(?:es|ed|ing) .{0,40}polic",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model\b.{0,120}?(?:not exist|not found|is not available|has been decommissioned)",
    re.IGNORECASE | re.DOTALL,
)
_KEY = re.compile(r"(?:incorrect|invalid) api key|api key not valid", re.IGNORECASE)

# What the text may turn a refusal into; other statuses speak for themselves.
_BY_TEXT: tuple[tuple[re.Pattern[str], FailureKind, frozenset[int]], ...] = (
    (_CREDIT, "credit", frozenset({0, 400, 403, 429})),
    (_CONTEXT, "context_length", frozenset({0, 400, 413, 422, 500})),
    (_POLICY, "content_refused", frozenset({0, 400, 403, 422, 451})),
    (_NO_MODEL, "not_found", frozenset({0, 400, 403, 422})),
    (_KEY, "auth", frozenset({0, 400})),
)


class _Told(NamedTuple):
    message: str = ""
    code: str = ""
    type: str = ""
    status: int = 0


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """`headers` has lower-case names. Of an error object inside a 200 its own status counts."""
    told = _read(body)
    effective = status if status >= 400 else told.status
    return UpstreamFailure(
        kind=_kind(effective, told),
        status=effective or status,
        message=told.message or f"The provider answered {status} without an explanation.",
        code=told.code or told.type,
        request_id=headers.get("x-request-id") or headers.get("request-id") or "",
        retry_after=retry_after(headers),
    )


def failure_in_stream(data: bytes) -> Failed:
    """An error object that came as a frame."""
    told = _read(data)
    message = told.message or "The provider broke the stream off with an error."
    return Failed(kind=_kind(told.status, told), message=message, code=told.code or told.type)


def _kind(status: int, told: _Told) -> FailureKind:
    for word in (told.code, told.type):
        kind = _CODES.get(word.lower())
        if kind == "rate_limited" and _CREDIT.search(told.message):
            return "credit"
        if kind is not None:
            return kind
    for pattern, kind, statuses in _BY_TEXT:
        if status in statuses and pattern.search(told.message):
            return kind
    if status:
        fallback: FailureKind = "invalid" if 400 <= status < 500 else "server"
        return _STATUSES.get(status, fallback)
    return _TYPES.get(told.type.lower(), "server")


def _read(body: bytes) -> _Told:
    try:
        decoded = _decode_any(body)
    except msgspec.DecodeError:
        return _Told(message=_plain(body))
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    if not isinstance(decoded, dict):
        return _Told(message=str(decoded)[:MESSAGE_LENGTH_MAX] if decoded else "")
    error = decoded.get("error")
    groq = decoded.get("x_groq")
    if error is None and isinstance(groq, dict):
        error = groq.get("error")
    if isinstance(error, str):
        return _Told(message=error[:MESSAGE_LENGTH_MAX], code=_word(decoded.get("code")))
    if not isinstance(error, dict):
        error = decoded
    message = error.get("message") or error.get("detail") or error.get("msg") or ""
    if not isinstance(message, str):
        message = raws.encode(message).decode()
    code = error.get("code")
    return _Told(
        message=message[:MESSAGE_LENGTH_MAX],
        code=_word(code),
        type=_word(error.get("type") or error.get("status")),
        status=_status(error.get("status_code")) or _status(code),
    )


def _plain(body: bytes) -> str:
    text = body[:MESSAGE_LENGTH_MAX].decode("utf-8", "replace").strip()
    # A proxy's HTML page explains nothing to a customer.
    return "" if text.startswith("<") else text


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _status(value: object) -> int:
    """A code that is an HTTP status, as OpenRouter, Google and vLLM send it."""
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
        return value
    return 0


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """The CCAPI shape. Of our own faults the request id is all that is told."""
    body = error.body()
    if error.status == 500:
        body["error"]["details"] = {"request_id": request_id}
    return raws.encode(body)
