"""OpenAI's Chat Completions, said by the sandbox.

Sources: platform.openai.com/docs/api-reference/chat (create, the streaming chunk object) and
platform.openai.com/docs/guides/error-codes; `reasoning_content` is api-docs.deepseek.com's name for
reasoning, which OpenAI's own endpoint does not show. What a request says is read in
`openai_requests`.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.sandbox.answers import Answer, Ask, Finish, Usage
from gateway.sandbox.dialect import Frame, Stage
from gateway.sandbox.failures import Failure, Kind
from gateway.sandbox.openai_requests import parse
from gateway.sandbox.tokens import split

_FINISH: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}

# kind: status, type, code, message
_ERRORS: dict[Kind, tuple[int, str | None, str | None, str]] = {
    "invalid": (400, "invalid_request_error", None, "Invalid request."),
    "invalid_json": (
        400,
        "invalid_request_error",
        None,
        "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.",
    ),
    "too_large": (413, "invalid_request_error", None, "Request body is too large."),
    "invalid_key": (
        401,
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided: sandbox. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    "no_credit": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "not_found": (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "no_route": (404, "invalid_request_error", None, "Invalid URL ({method} {path})"),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is {limit} tokens. However, your messages resulted in "
        "{tokens} tokens. Please reduce the length of the messages.",
    ),
    "content_filter": (
        400,
        None,
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy. "
        "Please modify your prompt and retry.",
    ),
    "rate_limited": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM). Please try again in {seconds}s.",
    ),
    "server": (
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    "overloaded": (
        503,
        "server_error",
        None,
        "That model is currently overloaded with other requests. Please retry your request.",
    ),
}


class OpenAIWords:
    """How OpenAI says that it does not, of whichever of its routes."""

    request_id_header = "x-request-id"

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:  # noqa: ARG002 - a dialect's signature
        status = failure.status or _ERRORS[failure.kind][0]
        return status, orjson.dumps({"error": _error(failure)})


class OpenAI(OpenAIWords):
    """The dialect of POST /v1/chat/completions."""

    stream_type = b"text/event-stream; charset=utf-8"
    garbage = b'data: {"choices": [{"delta": {"cont\n\n'

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:  # noqa: ARG002 - a dialect's signature
        return parse(body)

    def answer(self, ask: Ask, answer: Answer) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": None,
                "finish_reason": _FINISH[answer.finish],
            }
            for index in range(ask.n)
        ]
        body = _envelope(ask, "chat.completion") | {"choices": choices}
        if answer.usage is not None:
            body["usage"] = _usage(answer.usage)
        return orjson.dumps(body)

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        envelope = _envelope(ask, "chat.completion.chunk")
        usage = answer.usage if ask.include_usage else None
        # While usage is still to come, every chunk says that it has none.
        tail: dict[str, Any] = {} if usage is None else {"usage": None}
        for stage, delta, finish in _deltas(answer):
            for index in range(ask.n):
                choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
                yield Frame(stage, _frame(envelope | {"choices": [choice]} | tail))
        if usage is not None:
            last = {"choices": [], "usage": _usage(usage)}
            yield Frame("close", _frame(envelope | last))
        yield Frame("end", b"data: [DONE]\n\n")

    def error_frame(self, failure: Failure, request_id: str) -> bytes:  # noqa: ARG002
        return _frame({"error": _error(failure)})


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _envelope(ask: Ask, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


def _message(answer: Answer) -> dict[str, Any]:
    text = "".join(answer.text)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else text,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.calls
        ]
    return message


def _deltas(answer: Answer) -> Iterator[tuple[Stage, dict[str, Any], str | None]]:
    """The deltas of one choice, with the finish reason where it is told."""
    opening = {"role": "assistant", "content": None if answer.calls else "", "refusal": None}
    yield "open", opening, None
    for piece in answer.reasoning:
        yield "content", {"reasoning_content": piece}, None
    for piece in answer.text:
        yield "content", {"content": piece}, None
    for index, call in enumerate(answer.calls):
        start = {
            "index": index,
            "id": _call_id(),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield "between", {"tool_calls": [start]}, None
        for piece in split(call.arguments):
            part = {"index": index, "function": {"arguments": piece}}
            yield "content", {"tool_calls": [part]}, None
    yield "close", {}, _FINISH[answer.finish]


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _error(failure: Failure) -> dict[str, str | None]:
    _, kind, code, message = _ERRORS[failure.kind]
    return {
        "message": failure.message or message.format_map(failure.facts),
        "type": kind,
        "param": failure.param,
        "code": failure.code or code,
    }
