"""A chat request, both ways, without its messages.

What has no counterpart in our types stays raw in `extras["ollama"]`: `keep_alive`, and the options
of the runtime (`num_ctx`, `mirostat`, …) under `options`. They go to providers of this protocol
alone.
"""

from collections.abc import Mapping

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import (
    Message,
    OtherTool,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from gateway.protocols.base import Body, Encoded, Target
from gateway.protocols.ollama import wire
from gateway.protocols.ollama.messages import decode_messages, encode_messages
from gateway.protocols.ollama.wire import NAME
from gateway.protocols.shared import fields
from gateway.protocols.shared.offers import without_offers

PATH = "/api/chat"

_KNOWN = frozenset(
    [
        "model",
        "messages",
        "stream",
        "tools",
        "format",
        "think",
        "options",
        "logprobs",
        "top_logprobs",
    ]
)
_OPTIONS = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "num_predict",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
    ]
)
# Other protocols' words for an effort → Ollama's three.
_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_ANYTHING = Tool(name="").parameters


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, with the field at fault in `param`."""
    body = present(body)
    messages = fields.required(fields.tables(body, "messages"), "messages")
    if not messages:
        raise InvalidParameter("'messages' must not be empty.", param="messages")
    return decode_fields(body, decode_messages(messages), known=_KNOWN)


def present(body: Body) -> Body:
    """Without nulls, which count as absent."""
    return {name: value for name, value in body.items() if wire.is_set(value)}


def decode_fields(body: Body, messages: tuple[Message, ...], *, known: frozenset[str]) -> Request:
    """All but the messages, which the chat and the generate form spell differently."""
    options = fields.table(body, "options") or {}
    streamed = fields.flag(body, "stream")
    limit = fields.integer(options, "num_predict")
    extras = {name: value for name, value in body.items() if name not in known}
    runtime = {name: value for name, value in options.items() if name not in _OPTIONS}
    if runtime:
        extras["options"] = wire.raw(runtime)
    return Request(
        model=fields.required(fields.text(body, "model"), "model"),
        messages=messages,
        stream=True if streamed is None else streamed,
        # -1 (endless) and -2 (to the end of the context) set no limit.
        max_tokens=limit if limit is not None and limit > 0 else None,
        temperature=fields.number(options, "temperature", within="options."),
        top_p=fields.number(options, "top_p", within="options."),
        top_k=fields.integer(options, "top_k"),
        stop=_stop(options),
        seed=fields.integer(options, "seed"),
        presence_penalty=fields.number(options, "presence_penalty", within="options."),
        frequency_penalty=fields.number(options, "frequency_penalty", within="options."),
        logprobs=fields.flag(body, "logprobs"),
        top_logprobs=fields.integer(body, "top_logprobs", minimum=0),
        tools=_tools(body),
        response_format=_format(body),
        reasoning=_think(body),
        extras={NAME: extras} if extras else {},
    )


def _stop(options: Mapping[str, wire.Raw]) -> tuple[str, ...]:
    stop = fields.get(options, "stop")
    if stop is None:
        return ()
    if wire.first(stop) == b'"':
        return (fields.text(options, "stop", within="options.") or "",)
    return tuple(fields.texts(options, "stop") or ())


def _tools(body: Body) -> tuple[Tool | OtherTool, ...]:
    tools: list[Tool | OtherTool] = []
    for position, told in enumerate(fields.tables(body, "tools") or ()):
        at = f"tools[{position}]."
        function = fields.required(fields.table(told, "function", within=at), at + "function")
        at += "function."
        parameters = fields.get(function, "parameters")
        if parameters is not None and wire.first(parameters) != b"{":
            raise InvalidParameter(f"'{at}parameters' must be an object.", param=at + "parameters")
        tools.append(
            Tool(
                name=fields.required(fields.text(function, "name", within=at), at + "name"),
                description=fields.text(function, "description", within=at) or "",
                parameters=_ANYTHING if parameters is None else parameters,
            )
        )
    return tuple(tools)


def _format(body: Body) -> ResponseFormat | None:
    told = fields.get(body, "format")
    if told is None:
        return None
    if wire.first(told) == b"{":
        return ResponseFormat(mode="schema", schema=told)
    word = fields.text(body, "format")
    if word == "":
        return None
    if word != "json":
        raise InvalidParameter("'format' is \"json\" or a JSON schema.", param="format")
    return ResponseFormat(mode="json")


def _think(body: Body) -> ReasoningConfig | None:
    told = fields.get(body, "think")
    if told is None:
        return None
    if wire.first(told) == b'"':
        return ReasoningConfig(effort=fields.text(body, "think") or "")
    return ReasoningConfig(enabled=bool(fields.flag(body, "think")))


def encode_request(request: Request, target: Target) -> Encoded:
    """Raises: UnsupportedParameter where what this protocol cannot say would change the answer."""
    if request.n > 1:
        raise UnsupportedParameter("This model gives one answer a request.", param="n")
    request, offers = without_offers(request, NAME)
    dropped: dict[str, None] = dict.fromkeys(offers)
    kept = request.extras.get(NAME, {})
    body: dict[str, object] = {
        "model": target.upstream_model,
        "messages": encode_messages(request, dropped),
        "stream": target.stream,
    }
    plain: dict[str, object] = {
        "tools": _encode_tools(request, dropped) or None,
        "format": _encode_format(request.response_format),
        "think": _encode_think(request.reasoning, dropped),
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "options": _encode_options(request, target, kept) or None,
    }
    body.update((name, value) for name, value in plain.items() if value is not None)
    body.update((name, value) for name, value in kept.items() if name != "options")
    if request.user:
        dropped["user"] = None
    if request.parallel_tool_calls is False and request.tools:
        dropped["parallel_tool_calls"] = None
    for protocol, others in request.extras.items():
        if protocol != NAME:
            dropped.update(dict.fromkeys(others))
    return Encoded(path=PATH, body=wire.encode(body), dropped=tuple(dropped))


def _encode_options(
    request: Request, target: Target, kept: Mapping[str, wire.Raw]
) -> dict[str, object]:
    limit = request.max_tokens or target.max_tokens
    if limit is not None and target.max_output_tokens:
        limit = min(limit, target.max_output_tokens)
    told: dict[str, object] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "num_predict": limit,
        "stop": list(request.stop) or None,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
    }
    runtime = wire.decode_object(kept["options"]) if "options" in kept else {}
    return runtime | {name: value for name, value in told.items() if value is not None}


def _encode_tools(request: Request, dropped: dict[str, None]) -> list[dict[str, object]]:
    choice = request.tool_choice or ToolChoice(mode="auto")
    if choice.mode == "none":
        return []
    tools: list[dict[str, object]] = []
    for tool in request.tools:
        if isinstance(tool, OtherTool):
            raise UnsupportedParameter(
                f"The tool {tool.kind!r} runs at another vendor; this model does not have it.",
                param="tools",
            )
        function = {"name": tool.name, "description": tool.description}
        tools.append({"type": "function", "function": {**function, "parameters": tool.parameters}})
        if tool.cache is not None:
            dropped["cache_control"] = None
    if choice.mode != "auto" and tools:
        raise UnsupportedParameter(
            "This model's provider cannot be made to call a tool: `tool_choice` may be auto or"
            " none (or use tool compat mode).",
            param="tool_choice",
        )
    return tools


def _encode_format(told: ResponseFormat | None) -> object:
    if told is None or told.mode == "text":
        return None
    return told.schema if told.mode == "schema" and told.schema is not None else "json"


def _encode_think(config: ReasoningConfig | None, dropped: dict[str, None]) -> object:
    if config is None:
        return None
    if not config.enabled or config.effort == "none":
        return False
    if config.budget_tokens is not None and not config.effort:
        dropped["reasoning"] = None
    return _EFFORTS.get(config.effort, True)
