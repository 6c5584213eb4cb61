"""Error answers of vendors understood, and ours written."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ccapi.core.errors import InternalError, InvalidParameter, NoProviderAvailable, UpstreamFailed
from gateway.protocols.openai_chat import CODEC
from tests.gateway.protocols.openai_chat.openai_wire import Loose


def failure_kind(status: int, error: Loose, *, bare: bool = False) -> str:
    body = json.dumps(error if bare else {"error": error}).encode()
    return CODEC.decode_error(status, {}, body).kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid"),
        (401, "auth"),
        (402, "credit"),
        (403, "auth"),
        (404, "not_found"),
        (405, "invalid"),
        (408, "timeout"),
        (409, "conflict"),
        (413, "too_large"),
        (422, "invalid"),
        (429, "rate_limited"),
        (498, "overloaded"),
        (500, "server"),
        (501, "server"),
        (502, "server"),
        (503, "overloaded"),
        (504, "timeout"),
        (524, "timeout"),
        (529, "overloaded"),
        (302, "server"),
    ],
)
def test_a_status_alone_says_what_kind_of_failure_it_is(status: int, kind: str) -> None:
    assert CODEC.decode_error(status, {}, b"").kind == kind


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        # OpenAI
        (
            429,
            {"code": "insufficient_quota", "message": "You exceeded your current quota"},
            "credit",
        ),
        (429, {"code": "rate_limit_exceeded", "message": "Rate limit reached"}, "rate_limited"),
        (
            400,
            {"code": "context_length_exceeded", "message": "maximum context length"},
            "context_length",
        ),
        (400, {"code": "content_policy_violation", "message": "no"}, "content_refused"),
        (400, {"code": "content_filter", "message": "filtered"}, "content_refused"),  # Azure
        (404, {"code": "model_not_found", "message": "The model `x` does not exist"}, "not_found"),
        (400, {"type": "invalid_request_error", "message": "Unknown parameter: 'x'."}, "invalid"),
        (401, {"code": "invalid_api_key", "message": "Incorrect API key provided"}, "auth"),
        # DeepSeek
        (402, {"message": "Insufficient Balance", "type": "unknown_error"}, "credit"),
        # xAI
        (403, {"message": "Your team has used all available credits"}, "credit"),
        (400, {"message": "Incorrect API key provided: xa***"}, "auth"),
        (400, {"message": "This model's maximum prompt length is 131072 but"}, "context_length"),
        # Groq
        (413, {"code": "rate_limit_exceeded", "type": "tokens", "message": "TPM"}, "rate_limited"),
        (400, {"message": "Please reduce the length of the messages"}, "context_length"),
        (400, {"code": "model_decommissioned", "message": "gone"}, "not_found"),
        # OpenRouter
        (400, {"code": 400, "message": "x/y is not a valid model ID"}, "invalid"),
        (402, {"code": 402, "message": "This request requires more credits"}, "credit"),
        (403, {"code": 403, "message": "Input was flagged by moderation"}, "content_refused"),
        (400, {"code": 400, "message": "maximum context length is 8192 tokens"}, "context_length"),
        # Google
        (
            400,
            {"code": 400, "message": "The input token count (9) exceeds the maximum"},
            "context_length",
        ),
        (400, {"code": 400, "message": "API key not valid. Please pass a valid key"}, "auth"),
        (429, {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota"}, "rate_limited"),
        # Z.ai
        (429, {"code": "1113", "message": "Insufficient balance"}, "credit"),
        # Moonshot
        (429, {"type": "engine_overloaded_error", "message": "busy"}, "overloaded"),
        (401, {"type": "rate_limit_error", "message": "slow down"}, "rate_limited"),
    ],
)
def test_codes_and_texts_of_vendors_say_it_better(status: int, error: Loose, kind: str) -> None:
    assert failure_kind(status, error) == kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"a"}}', "a"),
        (b'{"error":"b"}', "b"),
        (b'[{"error":{"message":"c","code":400}}]', "c"),
        (b'{"object":"error","message":"d","code":400}', "d"),
        (b'{"detail":"e"}', "e"),
        (b'{"detail":[{"loc":["body"],"msg":"f"}]}', '[{"loc":["body"],"msg":"f"}]'),
        (b"upstream connect error", "upstream connect error"),
        (b"<html>Bad Gateway</html>", "The provider answered 400 without an explanation."),
        (b"", "The provider answered 400 without an explanation."),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"null", "The provider answered 400 without an explanation."),
    ],
)
def test_the_message_is_found_in_every_shape(body: bytes, message: str) -> None:
    assert CODEC.decode_error(400, {}, body).message == message


def test_an_error_inside_a_200_tells_its_own_status() -> None:
    failure = CODEC.decode_error(200, {}, b'{"error":{"code":503,"message":"No instances"}}')

    assert (failure.kind, failure.status) == ("overloaded", 503)


def test_an_error_without_any_status_is_placed_by_its_type() -> None:
    failure = CODEC.decode_error(
        200, {}, b'{"error":{"type":"invalid_request_error","message":"x"}}'
    )

    assert (failure.kind, failure.status) == ("invalid", 200)


def test_the_request_id_and_the_code_are_kept() -> None:
    body = b'{"error":{"message":"m","code":"c","type":"t"}}'

    failure = CODEC.decode_error(500, {"x-request-id": "req_1"}, body)

    assert (failure.request_id, failure.code) == ("req_1", "c")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e99"}, 86400.0),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_retry_after_is_read_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert CODEC.decode_error(429, headers, b"").retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    waited = CODEC.decode_error(429, {"retry-after": at}, b"").retry_after

    assert waited is not None
    assert 50 < waited <= 60


def test_our_errors_have_the_published_shape() -> None:
    error = InvalidParameter("'n' must be at least 1.", param="n")

    body = json.loads(CODEC.encode_error(error, "req_1"))

    assert body == {
        "error": {
            "message": "'n' must be at least 1.",
            "type": "invalid_request_error",
            "code": "invalid_parameter",
            "details": {},
            "param": "n",
        }
    }
    assert CODEC.error_status(error) == 400
    assert CODEC.error_status(NoProviderAvailable("x")) == 503


def test_of_our_own_faults_the_request_id_is_all_that_is_told() -> None:
    ours = json.loads(CODEC.encode_error(InternalError(), "req_1"))
    theirs = json.loads(CODEC.encode_error(UpstreamFailed("m", details={"a": "1"}), "req_1"))

    assert ours["error"]["details"] == {"request_id": "req_1"}
    assert theirs["error"]["details"] == {"a": "1"}
