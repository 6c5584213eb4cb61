"""The response object around an answer: what the SDK's types ask for, and what was asked.

`told.request` is what the client asked. Without it (and for what the client left open) the API's
own defaults stand.
"""

import msgspec

from ccapi.core.errors import GatewayError
from gateway.ir.request import Request, Text
from gateway.ir.response import StopReason
from gateway.protocols.base import Told
from gateway.protocols.openai_responses import wire
from gateway.protocols.openai_responses.stops import incomplete_reason
from gateway.protocols.openai_responses.tools import encode_choice, encode_tools
from gateway.protocols.openai_responses.wire import NAME, Wire

# What is repeated as it came.
_REPEATED = (
    "background",
    "conversation",
    "max_tool_calls",
    "metadata",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "truncation",
)
_NOTHING = Request(model="", messages=())


def response_object(answer_id: str, told: Told, created: int) -> Wire:
    """A response that has just begun."""
    asked = told.request or _NOTHING
    kept = asked.extras.get(NAME, {})
    body: Wire = {
        "id": answer_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": _instructions(asked),
        "max_output_tokens": asked.max_tokens,
        "model": told.model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": _reasoning(asked, kept),
        "store": False,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": _text(asked, kept),
        "tool_choice": kept.get("tool_choice") or encode_choice(asked) or "auto",
        "tools": encode_tools(asked.tools),
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.user or None,
        "metadata": {},
    }
    for name in _REPEATED:
        if name in kept:
            body[name] = wire.one_line(kept[name])
    return body


def _instructions(asked: Request) -> str | None:
    first = asked.messages[0] if asked.messages else None
    if first is None or first.role != "system" or first.extras:
        return None
    return "\n\n".join(part.text for part in first.parts if isinstance(part, Text)) or None


def _reasoning(asked: Request, kept: wire.Object) -> Wire:
    told = asked.reasoning
    rest = wire.decode_object(kept["reasoning"]) if "reasoning" in kept else {}
    effort = told.effort if told is not None and told.effort else None
    return {"effort": effort, "summary": None, **rest}


def _text(asked: Request, kept: wire.Object) -> Wire:
    rest: Wire = dict(wire.decode_object(kept["text"])) if "text" in kept else {}
    told = asked.response_format
    if told is None or told.mode == "text":
        form: Wire = {"type": "text"}
    elif told.mode == "json":
        form = {"type": "json_object"}
    else:
        form = {
            "type": "json_schema",
            "name": told.name,
            "description": told.description or None,
            "schema": told.schema or {},
            "strict": told.strict,
        }
    return {"format": form} | rest


def ended(stop: StopReason | None) -> Wire:
    """The fields that say how it ended."""
    reason = incomplete_reason(stop)
    if reason:
        return {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return {"status": "completed", "incomplete_details": None}


# Our codes in the words of the API's own errors, which agents know; all others are server errors.
_CODES: dict[str, str] = {
    "requests_per_minute": "rate_limit_exceeded",
    "tokens_per_minute": "rate_limit_exceeded",
    "concurrent_requests": "rate_limit_exceeded",
    "upstream_rate_limited": "rate_limit_exceeded",
    "context_length_exceeded": "context_length_exceeded",
    "upstream_overloaded": "server_is_overloaded",
    "insufficient_credits": "insufficient_quota",
    "request_exceeds_balance": "insufficient_quota",
}


def failed(error: GatewayError) -> Wire:
    """The fields that say that it failed."""
    code = _CODES.get(error.code, "server_error")
    return {
        "status": "failed",
        "incomplete_details": None,
        "error": {"code": code, "message": error.message},
    }


def frame(name: str, fields: Wire, sequence: int) -> bytes:
    """One event of a stream."""
    data = wire.encode({"type": name, **fields, "sequence_number": sequence})
    if b"\n" in data or b"\r" in data:  # raw JSON of a client or an upstream
        data = msgspec.json.format(data, indent=-1)
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
