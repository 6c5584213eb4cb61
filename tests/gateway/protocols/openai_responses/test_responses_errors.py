"""Error answers of the Responses API, and answers that are none."""

import json

import pytest

from ccapi.core.errors import InternalError, InvalidParameter, UpstreamOverloaded
from gateway.ir.failure import FailureKind
from gateway.protocols.base import GarbledStream
from gateway.protocols.openai_responses import CODEC
from tests.gateway.protocols.openai_responses.responses_wire import Loose


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded", "message": "Too long."}, "context_length"),
        (400, {"code": "invalid_prompt", "message": "Flagged."}, "content_refused"),
        (400, {"code": "unsupported_file", "message": "No."}, "invalid"),
        (401, {"code": "invalid_api_key", "message": "No."}, "auth"),
        (404, {"code": "model_not_found", "message": "No."}, "not_found"),
        (429, {"code": "insufficient_quota", "message": "No."}, "credit"),
        (429, {"code": "rate_limit_exceeded", "message": "No."}, "rate_limited"),
        (500, {"code": None, "message": "Oops."}, "server"),
        (503, {"code": "server_is_overloaded", "message": "Busy."}, "overloaded"),
        (200, {"code": "server_error", "message": "Oops."}, "server"),
        (200, {"code": "rate_limit_exceeded", "message": "No."}, "rate_limited"),
    ],
)
def test_an_error_is_understood_by_its_code(status: int, error: Loose, kind: FailureKind) -> None:
    headers = {"x-request-id": "req_1", "retry-after": "3"}

    failure = CODEC.decode_error(status, headers, json.dumps({"error": error}).encode())

    assert (failure.kind, failure.message) == (kind, error["message"])
    assert (failure.request_id, failure.retry_after) == ("req_1", 3.0)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "failed", "error": {"code": "server_error", "message": "Oops."}, "output": []},
        {"status": "queued", "error": None, "output": []},
        {"status": "in_progress", "output": []},
        {"status": "cancelled", "output": []},
        {"status": "completed"},
        {"error": {"message": "Oops."}},
        [],
    ],
)
def test_what_is_no_finished_answer_is_none(answer: Loose) -> None:
    with pytest.raises(GarbledStream):
        CODEC.decode_response(json.dumps(answer).encode())


def test_a_refusal_of_ours_names_the_field() -> None:
    error = InvalidParameter("'input' must be a list.", param="input")

    told = json.loads(CODEC.encode_error(error, "req_1"))["error"]

    assert (told["type"], told["code"]) == ("invalid_request_error", "invalid_parameter")
    assert told["param"] == "input"
    assert CODEC.error_status(error) == 400
    assert CODEC.error_status(UpstreamOverloaded("Busy.")) == 503


def test_a_fault_of_ours_tells_the_request_alone() -> None:
    told = json.loads(CODEC.encode_error(InternalError(), "req_1"))["error"]

    assert told["details"] == {"request_id": "req_1"}
