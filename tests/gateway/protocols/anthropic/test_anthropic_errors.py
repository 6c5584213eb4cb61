"""Errors: the provider's understood, ours in the shape that the official SDK reads."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anthropic
import httpx2
import pytest

from ccapi.core import errors
from gateway.protocols.anthropic import CODEC


def body(kind: str, message: str, **details: str) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if details:
        error["details"] = details
    return json.dumps({"type": "error", "error": error, "request_id": "req_body"}).encode()


LONG = "prompt is too long: 205000 tokens > 200000 maximum"
LIMIT = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
POOR = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
SPENT = "You have reached your specified API usage limits. You will regain access on 2026-01-01."
POLICY = "Output blocked by content filtering policy"


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", "invalid"),
        (400, "invalid_request_error", LONG, "context_length"),
        (400, "invalid_request_error", LIMIT, "context_length"),
        (400, "invalid_request_error", POOR, "credit"),
        (400, "invalid_request_error", SPENT, "credit"),
        (400, "invalid_request_error", POLICY, "content_refused"),
        (401, "authentication_error", "invalid x-api-key", "auth"),
        (402, "billing_error", "pay", "credit"),
        (403, "permission_error", "no", "auth"),
        (404, "not_found_error", "model: claude-9", "not_found"),
        (408, "weird", "slow", "timeout"),
        (409, "conflict_error", "twice", "conflict"),
        (413, "request_too_large", "Request exceeds the maximum size", "too_large"),
        (413, "request_too_large", LONG, "context_length"),
        (422, "invalid_request_error", "x", "invalid"),
        (429, "rate_limit_error", "slow down", "rate_limited"),
        (500, "api_error", "Internal server error", "server"),
        (503, "api_error", "busy", "overloaded"),
        (504, "timeout_error", "late", "timeout"),
        (529, "overloaded_error", "Overloaded", "overloaded"),
        (200, "overloaded_error", "Overloaded", "overloaded"),
        (418, "teapot", "x", "invalid"),
        (520, "", "cloud", "server"),
    ],
)
def test_kinds_of_failure(status: int, kind: str, message: str, expected: str) -> None:
    failure = CODEC.decode_error(status, {"request-id": "req_head"}, body(kind, message))

    assert failure.kind == expected
    assert failure.message == message
    assert (failure.status, failure.code) == (status, kind)
    assert failure.request_id == "req_head"


def test_a_spend_limit_is_no_rate_limit() -> None:
    told = body("rate_limit_error", "limit", error_code="enforced_spend_limit_reached")

    failure = CODEC.decode_error(429, {}, told)

    assert (failure.kind, failure.code) == ("credit", "enforced_spend_limit_reached")
    assert failure.request_id == "req_body"


def test_retry_after_in_seconds_and_as_a_date() -> None:
    def wait(value: str) -> float | None:
        return CODEC.decode_error(429, {"retry-after": value}, b"{}").retry_after

    assert wait("7") == 7.0
    assert wait("0.5") == 0.5
    assert wait("-3") == 0.0
    assert wait("soon") is None
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 20 < (wait(date) or 0) <= 30
    assert CODEC.decode_error(429, {}, b"{}").retry_after is None


@pytest.mark.parametrize(
    ("status", "text", "kind", "message"),
    [
        (502, b"<html>Bad gateway</html>", "server", "<html>Bad gateway</html>"),
        (503, b"", "overloaded", "The provider answered with status 503."),
        (400, b'{"error":"plain"}', "invalid", "plain"),
        (400, b'{"error":{"message":"m"}}', "invalid", "m"),
        (400, b'{"message":"top"}', "invalid", "top"),
        (400, b"\xff\xfe", "invalid", "\ufffd\ufffd"),
        (400, b"[]", "invalid", "[]"),
    ],
)
def test_bodies_of_other_shapes(status: int, text: bytes, kind: str, message: str) -> None:
    failure = CODEC.decode_error(status, {}, text)

    assert (failure.kind, failure.message) == (kind, message)


CASES: list[tuple[errors.GatewayError, int, str]] = [
    (errors.MissingParameter("m", param="max_tokens"), 400, "invalid_request_error"),
    (errors.Unauthorized("m"), 401, "authentication_error"),
    (errors.PaymentRequired("m", details={"available": "0.10"}), 402, "billing_error"),
    (errors.ModelNotAllowed("m"), 403, "permission_error"),
    (errors.ModelNotFound("m"), 404, "not_found_error"),
    (errors.MethodNotAllowed("m"), 405, "invalid_request_error"),
    (errors.RequestTooLarge("m"), 413, "request_too_large"),
    (errors.RateLimited("m"), 429, "rate_limit_error"),
    (errors.InternalError("m"), 500, "api_error"),
    (errors.ProviderMisconfigured("m"), 500, "api_error"),
    (errors.UpstreamOverloaded("m"), 529, "overloaded_error"),
    (errors.BillingUnavailable("m"), 529, "overloaded_error"),
    (errors.UpstreamTimeout("m"), 504, "timeout_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), CASES, ids=lambda c: type(c).__name__)
def test_ours_in_anthropics_shape(error: errors.GatewayError, status: int, kind: str) -> None:
    told = json.loads(CODEC.encode_error(error, "req_1"))

    assert CODEC.error_status(error) == status
    details = {"error_code": error.code} | error.details
    if error.param is not None:
        details["param"] = error.param
    assert told == {
        "type": "error",
        "error": {"type": kind, "message": "m", "details": details},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(("error", "status", "kind"), CASES, ids=lambda c: type(c).__name__)
def test_the_sdk_raises_its_own_error_for_ours(
    error: errors.GatewayError, status: int, kind: str
) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            CODEC.error_status(error),
            content=CODEC.encode_error(error, "req_1"),
            headers={"content-type": "application/json", "request-id": "req_1"},
        )

    client = anthropic.Anthropic(
        api_key="k",
        base_url="http://test",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )

    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])

    assert caught.value.status_code == status
    assert caught.value.request_id == "req_1"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["details"]["error_code"] == error.code
