"""Gemini's generateContent, said by the sandbox.

Its model and whether it streams stand in the path, so there is a dialect a request. A stream has no
end marker but the chunk that tells the finish reason. A prompt that is refused is an answer of
status 200 without candidates. What a request says is read in `gemini_requests`.
Sources: ai.google.dev/api/generate-content, …/gemini-api/docs/troubleshooting, google.aip.dev/193
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.sandbox.answers import Answer, Ask, Finish, Usage
from gateway.sandbox.dialect import Frame
from gateway.sandbox.failures import Failure, Kind
from gateway.sandbox.gemini_requests import parse, sealed

_FINISH: dict[Finish, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}

# kind: status, Google's word for it, message
_ERRORS: dict[Kind, tuple[int, str, str]] = {
    "invalid": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "invalid_json": (400, "INVALID_ARGUMENT", "Invalid JSON payload received."),
    "too_large": (413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    "invalid_key": (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
    ),
    "no_credit": (
        429,
        "RESOURCE_EXHAUSTED",
        "Your prepayment credits are depleted. Please go to AI Studio to manage your billing.",
    ),
    "not_found": (
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for "
        "generateContent.",
    ),
    "no_route": (404, "NOT_FOUND", "Not found: {method} {path}"),
    "context_length": (
        400,
        "INVALID_ARGUMENT",
        "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limit}).",
    ),
    "content_filter": (200, "OK", "PROHIBITED_CONTENT"),
    "rate_limited": (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota. Please retry in {seconds}s.",
    ),
    "server": (500, "INTERNAL", "An internal error has occurred. Please retry."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


_WORDS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini:
    """The dialect of POST /v1beta/models/{model}:generateContent and :streamGenerateContent."""

    request_id_header = "x-request-id"
    stream_type = b"text/event-stream"
    garbage = b'data: {"candidates": [{"content": {"parts": [{"te\r\n\r\n'

    def __init__(self, model: str = "echo", *, stream: bool = False) -> None:
        self._model = model
        self._stream = stream

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:  # noqa: ARG002 - a dialect's signature
        return parse(body, self._model, stream=self._stream)

    def answer(self, ask: Ask, answer: Answer) -> bytes:
        parts = [*_thoughts(answer.reasoning), *_calls(answer)]
        text = "".join(answer.text)
        if text:
            parts.append({"text": text})
        reason = _FINISH[answer.finish]
        candidates = [_candidate(index, parts, reason) for index in range(ask.n)]
        return orjson.dumps(self._chunk(_id(), candidates, answer.usage))

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        answer_id = _id()
        pieces = [{"text": piece, "thought": True} for piece in answer.reasoning]
        if answer.reasoning:
            signature = sealed("".join(answer.reasoning))
            pieces[-1]["thoughtSignature"] = signature
        for part in (*pieces, *_calls(answer)):
            yield self._content(answer_id, ask, part)
        for piece in answer.text:
            yield self._content(answer_id, ask, {"text": piece})
        reason = _FINISH[answer.finish]
        candidates = [_candidate(index, [], reason) for index in range(ask.n)]
        yield Frame("end", _frame(self._chunk(answer_id, candidates, answer.usage)))

    def _content(self, answer_id: str, ask: Ask, part: dict[str, Any]) -> Frame:
        candidates = [_candidate(index, [part]) for index in range(ask.n)]
        return Frame("content", _frame(self._chunk(answer_id, candidates, None)))

    def _chunk(
        self, answer_id: str, candidates: list[dict[str, Any]], usage: Usage | None
    ) -> dict[str, Any]:
        chunk: dict[str, Any] = {
            "candidates": candidates,
            "modelVersion": self._model,
            "responseId": answer_id,
        }
        if usage is not None:
            chunk["usageMetadata"] = _usage(usage)
        return chunk

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:  # noqa: ARG002
        status = failure.status or _ERRORS[failure.kind][0]
        body = orjson.dumps(_error(failure, status))
        if status == 200 and self._stream:
            return status, b"data: " + body + b"\r\n\r\n"
        return status, body

    def error_frame(self, failure: Failure, request_id: str) -> bytes:  # noqa: ARG002
        return _frame(_error(failure, failure.status or _ERRORS[failure.kind][0]))


def _thoughts(pieces: tuple[str, ...]) -> list[dict[str, Any]]:
    if not pieces:
        return []
    text = "".join(pieces)
    return [{"text": text, "thought": True, "thoughtSignature": sealed(text)}]


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"functionCall": {"name": call.name, "args": orjson.Fragment(call.arguments)}}
        for call in answer.calls
    ]


def _candidate(index: int, parts: list[dict[str, Any]], reason: str = "") -> dict[str, Any]:
    content: dict[str, Any] = {"role": "model", **({"parts": parts} if parts else {})}
    candidate: dict[str, Any] = {"content": content, "index": index}
    return candidate | {"finishReason": reason} if reason else candidate


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\r\n\r\n"


def _id() -> str:
    return secrets.token_urlsafe(16)


def _usage(usage: Usage) -> dict[str, Any]:
    said = {"candidatesTokenCount": usage.output - usage.reasoning}
    if usage.reasoning:
        said["thoughtsTokenCount"] = usage.reasoning
    return {
        "promptTokenCount": usage.input,
        **said,
        "totalTokenCount": usage.input + usage.output,
    }


def _error(failure: Failure, status: int) -> dict[str, Any]:
    usual, word, message = _ERRORS[failure.kind]
    if status != usual:
        word = _WORDS.get(status, word)
    if failure.kind == "content_filter":
        return {"promptFeedback": {"blockReason": message}, "modelVersion": "sandbox"}
    text = failure.message or message.format_map(failure.facts)
    details: list[dict[str, Any]] = []
    if failure.kind == "invalid_key":
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
    if failure.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{failure.retry_after}s"})
    error: dict[str, Any] = {"code": status, "message": text, "status": word}
    return {"error": error | {"details": details} if details else error}
