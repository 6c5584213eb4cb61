"""A chat request, both ways, without its messages (`messages_in`, `messages_out`) and `tools`.

What has no counterpart in our types stays raw in `extras["openai"]` under its own name and goes to
upstreams of this protocol. Some fields are both: read for other protocols, and kept raw for this
one (`thinking`, `reasoning`, `tool_choice` with `allowed_tools`, `top_k`).

Source: https://platform.openai.com/docs/api-reference/chat/create; `reasoning` and `models` as
OpenRouter has them, `thinking` as DeepSeek and Z.ai.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    ReasoningConfig,
    Request,
    ResponseFormat,
)
from gateway.protocols.base import Body, Encoded, Target
from gateway.protocols.openai_chat import wire
from gateway.protocols.openai_chat.messages_in import NAME, decode_messages
from gateway.protocols.openai_chat.messages_out import encode_messages
from gateway.protocols.openai_chat.tools import (
    decode_choice,
    decode_tools,
    encode_choice,
    encode_tools,
)
from gateway.protocols.shared import fields
from gateway.protocols.shared.dropped import Dropped
from gateway.protocols.shared.offers import without_offers

PATH = "/chat/completions"
CHOICES_MAX = 128

# Fields that the request's own attributes hold; all others are extras.
_KNOWN = frozenset(
    [
        "model",
        "models",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "user",
    ]
)

# Those that are read as they are, each with its reader. Few requests have more than two of them:
# what is there is read, instead of asking for all that could be.
_PLAIN: dict[str, Callable[[Body, str], object]] = {
    "stream": fields.flag,
    "temperature": fields.number,
    "top_p": fields.number,
    "top_k": fields.integer,
    "seed": fields.integer,
    "presence_penalty": fields.number,
    "frequency_penalty": fields.number,
    "logprobs": fields.flag,
    "top_logprobs": partial(fields.integer, minimum=0),
    "parallel_tool_calls": fields.flag,
    "user": fields.text,
}

# Models of OpenAI's that refuse `max_tokens`; other vendors' reasoning models often ignore its new
# name.
_LIMIT_RENAMED = re.compile(r"(?:^|/)(?:o\d|gpt-(?:[5-9]|\d\d))")


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, with the field at fault in `param`."""
    # Null counts as absent: looked at once here instead of in every one of the reads below.
    body = {name: value for name, value in body.items() if wire.is_set(value)}
    names = fields.texts(body, "models") or []
    model = fields.text(body, "model") or (names[0] if names else "")
    if not model:
        raise MissingParameter("'model' (or 'models') is required.", param="model")
    messages = fields.required(fields.tables(body, "messages"), "messages")
    if not messages:
        raise InvalidParameter("'messages' must not be empty.", param="messages")
    extras = {name: value for name, value in body.items() if name not in _KNOWN}
    options = fields.table(body, "stream_options")
    if options is not None and options.keys() - {"include_usage"}:
        extras["stream_options"] = body["stream_options"]
    limit = fields.integer(body, "max_completion_tokens", minimum=1)
    if limit is not None:
        extras["max_completion_tokens"] = body["max_completion_tokens"]
    else:
        limit = fields.integer(body, "max_tokens", minimum=1)
    choices = fields.integer(body, "n", minimum=1) or 1
    if choices > CHOICES_MAX:
        raise InvalidParameter(f"'n' must be at most {CHOICES_MAX}, not {choices}.", param="n")
    plain: dict[str, Any] = {name: _PLAIN[name](body, name) for name in body if name in _PLAIN}
    choice = decode_choice(body, extras)
    return Request(
        model=model,
        models=tuple(names),
        messages=decode_messages(messages),
        max_tokens=limit,
        stop=_stop(body),
        n=choices,
        tools=decode_tools(body),
        tool_choice=choice,
        response_format=_response_format(body, extras),
        reasoning=_reasoning(body),
        include_usage=bool(
            options and fields.flag(options, "include_usage", within="stream_options.")
        ),
        extras={NAME: extras} if extras else {},
        **plain,
    )


def _stop(body: Body) -> tuple[str, ...]:
    stop = fields.get(body, "stop")
    if stop is None:
        return ()
    if wire.first(stop) == b'"':
        return (fields.text(body, "stop") or "",)
    return tuple(fields.texts(body, "stop") or ())


def _response_format(body: Body, extras: wire.Object) -> ResponseFormat | None:
    told = fields.table(body, "response_format")
    if told is None:
        return None
    within = "response_format."
    kind = fields.required(fields.text(told, "type", within=within), within + "type")
    if kind == "text":
        return ResponseFormat(mode="text")
    if kind == "json_object":
        return ResponseFormat(mode="json")
    if kind != "json_schema":
        extras["response_format"] = body["response_format"]
        return None
    within = "response_format.json_schema."
    told = fields.required(
        fields.table(told, "json_schema", within="response_format."), within.rstrip(".")
    )
    return ResponseFormat(
        mode="schema",
        name=fields.required(fields.text(told, "name", within=within), within + "name"),
        description=fields.text(told, "description", within=within) or "",
        schema=fields.get(told, "schema"),
        strict=fields.flag(told, "strict", within=within),
    )


def _reasoning(body: Body) -> ReasoningConfig | None:
    effort = fields.text(body, "reasoning_effort")
    if effort is not None:
        return ReasoningConfig(enabled=effort != "none", effort=effort)
    config = fields.table(body, "reasoning")
    if config is not None:
        effort = fields.text(config, "effort", within="reasoning.") or ""
        enabled = fields.flag(config, "enabled", within="reasoning.")
        return ReasoningConfig(
            enabled=effort != "none" if enabled is None else enabled,
            effort=effort,
            budget_tokens=fields.integer(config, "max_tokens", minimum=0),
        )
    thinking = fields.table(body, "thinking")
    if thinking is not None:
        kind = fields.text(thinking, "type", within="thinking.") or "enabled"
        return ReasoningConfig(
            enabled=kind != "disabled",
            budget_tokens=fields.integer(thinking, "budget_tokens", minimum=0),
        )
    return None


def encode_request(request: Request, target: Target) -> Encoded:
    """Raises: UnsupportedParameter where what this protocol cannot say would change the answer."""
    dropped = Dropped()
    request, offers = without_offers(request, NAME)
    for name in offers:
        dropped.add(name)
    kept = request.extras.get(NAME, {})
    body: dict[str, object] = {
        "model": target.upstream_model,
        "messages": encode_messages(request, dropped),
    }
    if target.stream:
        body["stream"] = True
    limit = request.max_tokens or target.max_tokens
    if limit is not None:
        if target.max_output_tokens:
            # The model cannot write more; asked for more, many refuse.
            limit = min(limit, target.max_output_tokens)
        body[limit_field(target, kept)] = limit
    plain: dict[str, object] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "n": request.n if request.n != 1 else None,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "parallel_tool_calls": request.parallel_tool_calls if request.tools else None,
        "user": request.user or None,
        "stop": list(request.stop) or None,
        "response_format": _encode_format(request.response_format),
        "tool_choice": encode_choice(request.tool_choice) if request.tools else None,
        "tools": encode_tools(request.tools) or None,
        "reasoning_effort": _effort(request, target, kept, dropped),
    }
    body.update((name, value) for name, value in plain.items() if value is not None)
    if request.top_k is not None and "top_k" not in kept:
        dropped.add("top_k")
    for protocol, others in request.extras.items():
        if protocol != NAME:
            for name in others:
                dropped.add(name)
    body.update((name, value) for name, value in kept.items() if name not in LIMIT_FIELDS)
    if target.stream:
        body["stream_options"] = with_usage(kept.get("stream_options"))
    else:
        body.pop("stream_options", None)
    return Encoded(path=PATH, body=wire.encode(body), dropped=dropped.names())


LIMIT_FIELDS = frozenset({"max_tokens", "max_completion_tokens"})


def limit_field(target: Target, client: fields.Object) -> str:
    """The name under which this upstream takes the limit of output tokens."""
    if "max_completion_tokens" in client:
        return "max_completion_tokens"
    if "reasoning" in target.capabilities and _LIMIT_RENAMED.search(target.upstream_model):
        return "max_completion_tokens"
    return "max_tokens"


def with_usage(options: wire.Raw | None) -> wire.Raw:
    """`stream_options` with `include_usage` on, whatever else the client put there."""
    if options is None or wire.first(options) != b"{":
        return _USAGE_INCLUDED
    return wire.raw({**wire.decode_object(options), "include_usage": True})


_USAGE_INCLUDED = wire.raw({"include_usage": True})


def _encode_format(told: ResponseFormat | None) -> dict[str, object] | None:
    if told is None:
        return None
    if told.mode == "text":
        return {"type": "text"}
    if told.mode == "json":
        return {"type": "json_object"}
    schema: dict[str, object] = {"name": told.name or "response"}
    if told.description:
        schema["description"] = told.description
    if told.schema is not None:
        schema["schema"] = told.schema
    if told.strict is not None:
        schema["strict"] = told.strict
    return {"type": "json_schema", "json_schema": schema}


def _effort(
    request: Request, target: Target, kept: fields.Object, dropped: "Dropped"
) -> str | None:
    """OpenAI's word for how much to think; a budget becomes the effort that comes near it."""
    config = request.reasoning
    if config is None or "reasoning" in kept:
        return None
    if config.effort and (config.enabled or config.effort == "none"):
        return config.effort
    if "thinking" in kept:
        return None
    if not config.enabled:
        # No word of OpenAI's forbids thinking to every model: "none" is a 400 for most.
        if "reasoning" in target.capabilities:
            dropped.add("reasoning")
        return None
    if "reasoning" not in target.capabilities or config.budget_tokens is None:
        dropped.add("reasoning")
        return None
    return _effort_of(config.budget_tokens)


def _effort_of(budget_tokens: int) -> str:
    if budget_tokens <= 1024:
        return "low"
    return "medium" if budget_tokens <= 4096 else "high"
