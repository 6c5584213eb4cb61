"""Errors: Gemini's understood, and ours in Google's shape."""

import json
from typing import Any

import pytest
from google.genai import errors as sdk

from ccapi.core.errors import (
    GatewayError,
    InternalError,
    InvalidParameter,
    ModelNotFound,
    PaymentRequired,
    Unauthorized,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from gateway.protocols.gemini import CODEC
from tests.gateway.protocols.gemini.gemini_kit import Json

RPC = "type.googleapis.com/google.rpc."


def failure(status: int, word: str, message: str = "", *details: Json) -> bytes:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    return json.dumps({"error": error}).encode()


def quota(quota_id: str, **fields: str) -> dict[str, Any]:
    return {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": quota_id, **fields}]}


def reason(word: str) -> dict[str, str]:
    return {"@type": RPC + "ErrorInfo", "reason": word, "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, failure(400, "INVALID_ARGUMENT", "Bad field."), "invalid"),
        (400, failure(400, "INVALID_ARGUMENT", "API key not valid."), "auth"),
        (400, failure(400, "INVALID_ARGUMENT", "x", reason("API_KEY_INVALID")), "auth"),
        (
            400,
            failure(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            "context_length",
        ),
        (
            400,
            failure(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20 bytes."),
            "too_large",
        ),
        (
            400,
            failure(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            "auth",
        ),
        (400, failure(400, "FAILED_PRECONDITION", "Please enable billing."), "credit"),
        (401, failure(401, "UNAUTHENTICATED"), "auth"),
        (403, failure(403, "PERMISSION_DENIED"), "auth"),
        (404, failure(404, "NOT_FOUND", "models/x is not found."), "not_found"),
        (
            429,
            failure(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
            "rate_limited",
        ),
        (429, failure(429, "RESOURCE_EXHAUSTED", "q", quota("RequestsPerMinute")), "rate_limited"),
        (429, failure(429, "RESOURCE_EXHAUSTED", "q", quota("RequestsPerDay-Free")), "credit"),
        (429, failure(429, "RESOURCE_EXHAUSTED", "q", quota("X", quotaValue="0")), "credit"),
        (
            429,
            failure(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
            "credit",
        ),
        (500, failure(500, "INTERNAL"), "server"),
        (503, failure(503, "UNAVAILABLE"), "overloaded"),
        (504, failure(504, "DEADLINE_EXCEEDED"), "timeout"),
        (502, b"<html>Bad gateway</html>", "server"),
        (413, b"", "too_large"),
        (429, b"[" + failure(429, "RESOURCE_EXHAUSTED") + b"]", "rate_limited"),
        (200, failure(503, "UNAVAILABLE"), "overloaded"),
    ],
)
def test_what_an_error_of_geminis_means(status: int, body: bytes, kind: str) -> None:
    assert CODEC.decode_error(status, {}, body).kind == kind


@pytest.mark.parametrize(("delay", "seconds"), [("17s", 17.0), ("0.5s", 0.5), ("soon", 3.0)])
def test_how_long_to_wait_stands_in_the_details(delay: str, seconds: float) -> None:
    wait = {"@type": RPC + "RetryInfo", "retryDelay": delay}

    told = CODEC.decode_error(
        429, {"retry-after": "3"}, failure(429, "RESOURCE_EXHAUSTED", "q", wait)
    )

    assert told.retry_after == seconds


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (InvalidParameter("No.", param="contents[0].role"), 400, "INVALID_ARGUMENT"),
        (Unauthorized("No key."), 401, "UNAUTHENTICATED"),
        (PaymentRequired("No money."), 402, "FAILED_PRECONDITION"),
        (ModelNotFound("None."), 404, "NOT_FOUND"),
        (UpstreamRateLimited("Slow.", retry_after=2.5), 429, "RESOURCE_EXHAUSTED"),
        (InternalError("Oops."), 500, "INTERNAL"),
        (UpstreamFailed("Broken."), 503, "UNAVAILABLE"),
        (UpstreamOverloaded("Busy."), 503, "UNAVAILABLE"),
        (UpstreamTimeout("Late."), 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_our_errors_are_told_as_the_sdk_reads_them(
    error: GatewayError, status: int, word: str
) -> None:
    body = json.loads(CODEC.encode_error(error, "req_1"))

    assert CODEC.error_status(error) == status
    read = sdk.APIError(status, body)
    assert (read.code, read.status, read.message) == (status, word, error.message)
    info = body["error"]["details"][0]
    assert info["reason"] == error.code.upper()
    assert all(isinstance(value, str) for value in info["metadata"].values())


def test_the_wait_and_the_field_at_fault_are_told() -> None:
    wait = json.loads(CODEC.encode_error(UpstreamRateLimited("Slow.", retry_after=2.5), ""))
    fault = json.loads(CODEC.encode_error(InvalidParameter("No.", param="model"), ""))

    assert wait["error"]["details"][1] == {"@type": RPC + "RetryInfo", "retryDelay": "2.5s"}
    assert fault["error"]["details"][1]["fieldViolations"][0]["field"] == "model"


def test_an_error_of_ours_reads_back_with_its_meaning() -> None:
    body = CODEC.encode_error(UpstreamRateLimited("Slow.", retry_after=2.5), "")

    told = CODEC.decode_error(429, {}, body)

    assert (told.kind, told.retry_after) == ("rate_limited", 2.5)
