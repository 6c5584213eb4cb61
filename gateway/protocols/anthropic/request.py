"""A client's `POST /v1/messages` body → our `Request`.

Fields without a counterpart of ours stand in `extras["anthropic"]` as they came. So do `thinking`
and `output_config` where our `ReasoningConfig` cannot say all that they say: a provider of this
protocol hears the client's own words, all others the nearest effort. `models` (the failover list)
is CCAPI's own field.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw

from ccapi.core.errors import InvalidParameter, MissingParameter
from ccapi.core.usage import count
from gateway.ir.request import (
    Message,
    OtherTool,
    ReasoningConfig,
    Request,
    ResponseFormat,
    Role,
    Tool,
    ToolChoice,
)
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.blocks import (
    cache_mark,
    decode_content,
    parse,
    parse_with,
    unknown_fields,
)
from gateway.protocols.base import Body

T = TypeVar("T")

MODEL_NAME_MAX = 256  # characters
EFFORTS = ("low", "medium", "high", "xhigh", "max")
OUR_FIELDS = frozenset({"models"})  # never sent to a provider

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_KNOWN = OUR_FIELDS | {
    "model", "messages", "system", "max_tokens", "stream", "temperature", "top_p", "top_k",
    "stop_sequences", "tools", "tool_choice", "thinking", "output_config", "output_format",
    "metadata",
}  # fmt: skip


def decode_request(body: Body) -> Request:
    """Raises: MissingParameter, InvalidParameter, with `param` as `messages.0.content.1.type`."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"The body is not valid JSON in UTF-8: {error}.") from error


def _decode(body: Body) -> Request:
    fields = _Fields(body)
    model, models = _models(fields)
    extras = {
        name: raw for name, raw in body.items() if name not in _KNOWN and not wire.absent(raw)
    }
    choice, parallel = _tool_choice(fields)
    reasoning, own_words = _reasoning(fields)
    user, metadata = _metadata(fields)
    extras |= own_words | metadata
    return Request(
        model=model,
        models=models,
        messages=(*_system(fields), *_messages(fields)),
        max_tokens=fields.count("max_tokens", required=True),
        stream=bool(fields.get("stream", bool)),
        temperature=fields.fraction("temperature", maximum=1),
        top_p=fields.fraction("top_p", maximum=1),
        top_k=fields.count("top_k"),
        stop=tuple(fields.get("stop_sequences", list[str]) or ()),
        tools=_tools(fields),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=_response_format(fields),
        reasoning=reasoning,
        user=user,
        extras={wire.NAME: extras} if extras else {},
    )


class _Fields:
    """The top level of a body, read by field name and type."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def raw(self, name: str) -> Raw | None:
        raw = self._body.get(name)
        return None if raw is None or wire.absent(raw) else raw

    def get(self, name: str, type_: type[T]) -> T | None:
        raw = self.raw(name)
        return None if raw is None else parse(type_, raw, name)

    def need(self, name: str, type_: type[T]) -> T:
        value = self.get(name, type_)
        if value is None:
            raise MissingParameter(f"{name} is required.", param=name)
        return value

    def count(self, name: str, *, required: bool = False) -> int | None:
        """A whole number of at least 0; `1.0` is one."""
        read: Callable[[str, type[float]], float | None] = self.need if required else self.get
        # A float field of msgspec accepts integers too.
        value = read(name, float)
        try:
            return None if value is None else count(value)
        except (ValueError, OverflowError):
            raise InvalidParameter(
                f"{name} must be a whole number of at least 0, not {value}.", param=name
            ) from None

    def fraction(self, name: str, *, maximum: float) -> float | None:
        value = self.get(name, float)
        if value is not None and not 0 <= value <= maximum:
            raise InvalidParameter(
                f"{name} must be between 0 and {maximum}, not {value}.", param=name
            )
        return value


def _models(fields: _Fields) -> tuple[str, tuple[str, ...]]:
    """`model`, and the failover list; an empty list is as good as none."""
    models = tuple(fields.get("models", list[str]) or ())
    model = fields.get("model", str) or (models[0] if models else "")
    if not model:
        raise MissingParameter("model is required.", param="model")
    for at, name in enumerate((model, *models)):
        if not 0 < len(name) <= MODEL_NAME_MAX:
            param = f"models.{at - 1}" if at else "model"
            raise InvalidParameter(
                f"{param} must have 1 to {MODEL_NAME_MAX} characters.", param=param
            )
    return model, models


def _system(fields: _Fields) -> tuple[Message, ...]:
    raw = fields.raw("system")
    if raw is None:
        return ()
    parts = decode_content(parse_with(wire.CONTENT, raw, "system"), "system")
    return (Message(role="system", parts=parts),) if parts else ()


def _messages(fields: _Fields) -> list[Message]:
    raws = fields.need("messages", list[Raw])
    if not raws:
        raise InvalidParameter("messages: at least one message is required.", param="messages")
    return [_message(raw, f"messages.{i}") for i, raw in enumerate(raws)]


def _message(raw: Raw, path: str) -> Message:
    message = parse(wire.MessageParam, raw, path)
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidParameter(
            f"{path}.role: {message.role!r} is none of user, assistant, system.",
            param=f"{path}.role",
        )
    return Message(role=role, parts=decode_content(message.content, f"{path}.content"))


def _tools(fields: _Fields) -> tuple[Tool | OtherTool, ...]:
    raws = fields.get("tools", list[Raw]) or []
    return tuple(_tool(raw, f"tools.{i}") for i, raw in enumerate(raws))


def _tool(raw: Raw, path: str) -> Tool | OtherTool:
    kind = parse(wire.ToolKind, raw, path).type
    if kind is not None and kind != "custom":
        return OtherTool(protocol=wire.NAME, kind=kind, raw=raw)
    tool = parse(wire.ToolParam, raw, path)
    if wire.absent(tool.input_schema):
        raise MissingParameter(f"{path}.input_schema is required.", param=f"{path}.input_schema")
    parse(wire.Object, tool.input_schema, f"{path}.input_schema")
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters=tool.input_schema,
        strict=tool.strict,
        cache=cache_mark(tool.cache_control),
        extras=unknown_fields(raw, wire.ToolParam),
    )


def _tool_choice(fields: _Fields) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several calls may come at once."""
    choice = fields.get("tool_choice", wire.ToolChoiceParam)
    if choice is None:
        return None, None
    serial = choice.disable_parallel_tool_use
    parallel = None if serial is None else not serial
    match choice.type:
        case "auto":
            return ToolChoice(mode="auto"), parallel
        case "any":
            return ToolChoice(mode="required"), parallel
        case "none":
            return ToolChoice(mode="none"), parallel
        case "tool":
            if not choice.name:
                raise MissingParameter("tool_choice.name is required.", param="tool_choice.name")
            return ToolChoice(mode="tool", name=choice.name), parallel
    raise InvalidParameter(
        f"tool_choice.type: {choice.type!r} is none of auto, any, tool, none.",
        param="tool_choice.type",
    )


def _reasoning(fields: _Fields) -> tuple[ReasoningConfig | None, dict[str, Raw]]:
    """How much to think, and the client's own words where ours say less."""
    thinking = fields.get("thinking", wire.ThinkingParam)
    config = dict(fields.get("output_config", wire.Object) or {})
    config.pop("format", None)  # see _response_format
    effort = parse(str, config["effort"], "output_config.effort") if _has(config, "effort") else ""
    if effort and effort not in EFFORTS:
        raise InvalidParameter(
            f"output_config.effort: {effort!r} is none of {', '.join(EFFORTS)}.",
            param="output_config.effort",
        )
    own_words: dict[str, Raw] = {}
    if config:
        own_words["output_config"] = Raw(wire.encode(config))
    if thinking is None:
        return (ReasoningConfig(effort=effort) if effort else None), own_words
    budget = _budget(thinking)
    raw = fields.raw("thinking")
    if raw is not None and (config or thinking.type not in ("enabled", "disabled")):
        own_words["thinking"] = raw
    enabled = thinking.type != "disabled"
    return ReasoningConfig(enabled=enabled, effort=effort, budget_tokens=budget), own_words


def _has(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and not wire.absent(fields[name])


def _budget(thinking: wire.ThinkingParam) -> int | None:
    """`thinking.budget_tokens` of an enabled thinking."""
    if thinking.type != "enabled":
        return None
    param = "thinking.budget_tokens"
    if thinking.budget_tokens is None:
        raise MissingParameter(f"{param} is required where thinking is enabled.", param=param)
    try:
        return count(thinking.budget_tokens)
    except (ValueError, OverflowError):
        raise InvalidParameter(f"{param} must be a whole number.", param=param) from None


def _response_format(fields: _Fields) -> ResponseFormat | None:
    """`output_config.format`, or `output_format` as it was called in the beta."""
    path, raw = (
        "output_config.format",
        (fields.get("output_config", wire.Object) or {}).get("format"),
    )
    if raw is None or wire.absent(raw):
        path, raw = "output_format", fields.raw("output_format")
    if raw is None:
        return None
    format_ = parse(wire.FormatParam, raw, path)
    if format_.type != "json_schema":
        raise InvalidParameter(
            f"{path}.type: {format_.type!r} is not json_schema.", param=f"{path}.type"
        )
    if wire.absent(format_.schema):
        raise MissingParameter(f"{path}.schema is required.", param=f"{path}.schema")
    return ResponseFormat(mode="schema", schema=format_.schema, strict=True)


def _metadata(fields: _Fields) -> tuple[str, dict[str, Raw]]:
    """`metadata.user_id`, and the whole of it where it holds more."""
    raw = fields.raw("metadata")
    if raw is None:
        return "", {}
    user = parse(wire.Metadata, raw, "metadata").user_id or ""
    more = msgspec.json.decode(raw, type=wire.Object).keys() - {"user_id"}
    return user, {"metadata": raw} if more else {}
