"""Anthropic's Messages, said by the sandbox.

Sources: docs.anthropic.com/en/api/messages, …/build-with-claude/streaming (the order of events) and
…/api/errors. What a request says is read in `anthropic_requests`.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from gateway.sandbox.answers import Answer, Ask, Call, Finish, Usage
from gateway.sandbox.anthropic_requests import parse, signature
from gateway.sandbox.dialect import Frame
from gateway.sandbox.failures import Failure, Kind, Refused
from gateway.sandbox.tokens import split

_STOP: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

# kind: status, type, message
_ERRORS: dict[Kind, tuple[int, str, str]] = {
    "invalid": (400, "invalid_request_error", "Invalid request."),
    "invalid_json": (400, "invalid_request_error", "The request body is not valid JSON."),
    "too_large": (
        413,
        "request_too_large",
        "Request exceeds the maximum allowed number of bytes.",
    ),
    "invalid_key": (401, "authentication_error", "invalid x-api-key"),
    "no_credit": (
        402,
        "billing_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
        "to upgrade or purchase credits.",
    ),
    "not_found": (404, "not_found_error", "model: {model}"),
    "no_route": (404, "not_found_error", "Not found: {method} {path}"),
    "context_length": (
        400,
        "invalid_request_error",
        "prompt is too long: {tokens} tokens > {limit} maximum",
    ),
    "content_filter": (
        400,
        "invalid_request_error",
        "Output blocked by content filtering policy",
    ),
    "rate_limited": (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit of requests per minute.",
    ),
    "server": (500, "api_error", "Internal server error"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}


class Anthropic:
    """The dialect of POST /v1/messages."""

    request_id_header = "request-id"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage = b'data: {"type": "content_block_delta", "delta": {"cont\n\n'

    def parse(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        if "anthropic-version" not in headers:
            raise Refused(Failure(kind="invalid", message="anthropic-version: header is required"))
        return parse(body)

    def answer(self, ask: Ask, answer: Answer) -> bytes:
        body = _envelope(ask) | {
            "content": _blocks(answer),
            "stop_reason": _STOP[answer.finish],
            "stop_sequence": answer.stop_sequence,
        }
        if answer.usage is not None:
            body["usage"] = _usage(answer.usage)
        return orjson.dumps(body)

    def frames(self, ask: Ask, answer: Answer) -> Iterator[Frame]:
        message = _envelope(ask) | {"content": [], "stop_reason": None, "stop_sequence": None}
        if answer.usage is not None:
            message["usage"] = _usage(Usage(answer.usage.input, min(answer.usage.output, 1)))
        yield Frame("open", _event("message_start", message=message))
        yield Frame("open", _event("ping"))
        index = 0
        if answer.reasoning:
            yield from _thinking(index, answer.reasoning)
            index += 1
        for call in answer.calls:
            yield from _tool_use(index, call)
            index += 1
        # A model that says nothing starts no block at all.
        yield from _text(index, answer.text)
        delta = {"stop_reason": _STOP[answer.finish], "stop_sequence": answer.stop_sequence}
        if answer.usage is None:
            yield Frame("close", _event("message_delta", delta=delta))
        else:
            usage = _final_usage(answer.usage)
            yield Frame("close", _event("message_delta", delta=delta, usage=usage))
        yield Frame("end", _event("message_stop"))

    def failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        status = failure.status or _ERRORS[failure.kind][0]
        return status, orjson.dumps(_error(failure, request_id))

    def error_frame(self, failure: Failure, request_id: str) -> bytes:
        return b"event: error\ndata: " + orjson.dumps(_error(failure, request_id)) + b"\n\n"


def _event(name: str, **fields: object) -> bytes:
    data = orjson.dumps({"type": name} | fields)
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _delta(index: int, kind: str, field: str, value: str) -> bytes:
    return _event("content_block_delta", index=index, delta={"type": kind, field: value})


def _thinking(index: int, pieces: tuple[str, ...]) -> Iterator[Frame]:
    block = {"type": "thinking", "thinking": "", "signature": ""}
    yield Frame("between", _event("content_block_start", index=index, content_block=block))
    for piece in pieces:
        yield Frame("content", _delta(index, "thinking_delta", "thinking", piece))
    sealed = signature("".join(pieces))
    yield Frame("between", _delta(index, "signature_delta", "signature", sealed))
    yield Frame("between", _event("content_block_stop", index=index))


def _text(index: int, pieces: Iterable[str]) -> Iterator[Frame]:
    started = False
    for piece in pieces:
        if not started:
            block = {"type": "text", "text": ""}
            yield Frame("between", _event("content_block_start", index=index, content_block=block))
            started = True
        yield Frame("content", _delta(index, "text_delta", "text", piece))
    if started:
        yield Frame("between", _event("content_block_stop", index=index))


def _tool_use(index: int, call: Call) -> Iterator[Frame]:
    block = {"type": "tool_use", "id": _call_id(), "name": call.name, "input": {}}
    yield Frame("between", _event("content_block_start", index=index, content_block=block))
    # Anthropic begins the arguments with an empty delta.
    yield Frame("between", _delta(index, "input_json_delta", "partial_json", ""))
    for piece in split(call.arguments):
        yield Frame("content", _delta(index, "input_json_delta", "partial_json", piece))
    yield Frame("between", _event("content_block_stop", index=index))


def _envelope(ask: Ask) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
    }


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        thinking = "".join(answer.reasoning)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
    for call in answer.calls:
        # A fragment goes out as it stands, so that the arguments are those of the user to the byte.
        arguments = orjson.Fragment(call.arguments)
        blocks.append({"type": "tool_use", "id": _call_id(), "name": call.name, "input": arguments})
    text = "".join(answer.text)
    if text:
        blocks.append({"type": "text", "text": text})
    return blocks


def _call_id() -> str:
    return f"toolu_{secrets.token_hex(12)}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "service_tier": "standard",
    }


def _final_usage(usage: Usage) -> dict[str, Any]:
    """The counts of message_delta: cumulative, and without the fields that only a message has."""
    only_message = ("cache_creation", "service_tier")
    return {name: value for name, value in _usage(usage).items() if name not in only_message}


def _error(failure: Failure, request_id: str) -> dict[str, Any]:
    _, kind, message = _ERRORS[failure.kind]
    text = failure.message or message.format_map(failure.facts)
    error = {"type": kind, "message": text}
    return {"type": "error", "error": error, "request_id": request_id}
