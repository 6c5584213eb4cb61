"""Tools and the choice among them, both ways; also the legacy `functions` and `function_call`.

Tools that the vendor runs, and OpenAI's `custom` ones (free text instead of JSON), stay raw.
"""

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import CacheMark, OtherTool, Tool, ToolChoice
from gateway.protocols.base import Body
from gateway.protocols.openai_chat import wire
from gateway.protocols.openai_chat.messages_in import NAME
from gateway.protocols.shared import fields

_ANYTHING = Tool(name="").parameters


def decode_tools(body: Body) -> tuple[Tool | OtherTool, ...]:
    """The tools; where `tool_choice` allows only some of them, those."""
    told = fields.tables(body, "tools")
    if told is None:
        functions = fields.tables(body, "functions") or []
        return tuple(
            _function(function, f"functions[{position}].")
            for position, function in enumerate(functions)
        )
    tools = tuple(_tool(tool, f"tools[{position}].") for position, tool in enumerate(told))
    allowed = _allowed_names(body)
    if allowed is None:
        return tools
    return tuple(tool for tool in tools if isinstance(tool, OtherTool) or tool.name in allowed)


def _tool(tool: wire.Object, at: str) -> Tool | OtherTool:
    kind = fields.text(tool, "type", within=at) or "function"
    if kind != "function":
        return OtherTool(protocol=NAME, kind=kind, raw=wire.raw(tool))
    function = fields.required(fields.table(tool, "function", within=at), at + "function")
    cache = fields.table(tool, "cache_control", within=at)
    mark = None
    if cache is not None:
        mark = CacheMark(ttl=fields.text(cache, "ttl", within=at + "cache_control.") or "")
    return _function(function, at + "function.", mark)


def _function(function: wire.Object, at: str, cache: CacheMark | None = None) -> Tool:
    parameters = fields.get(function, "parameters")
    if parameters is not None and wire.first(parameters) != b"{":
        raise InvalidParameter(f"'{at}parameters' must be an object.", param=at + "parameters")
    return Tool(
        name=fields.required(fields.text(function, "name", within=at), at + "name"),
        description=fields.text(function, "description", within=at) or "",
        parameters=_ANYTHING if parameters is None else parameters,
        strict=fields.flag(function, "strict", within=at),
        cache=cache,
    )


def decode_choice(body: Body, extras: wire.Object) -> ToolChoice | None:
    """`extras` gains the raw choice where our type says less than what came."""
    told = fields.get(body, "tool_choice")
    name = "tool_choice"
    if told is None:
        told = fields.get(body, "function_call")
        name = "function_call"
    if told is None:
        return None
    if wire.first(told) == b'"':
        word = fields.text(body, name) or ""
        if word == "any":  # Mistral's word for it, which an upstream gets as it was written
            extras["tool_choice"] = told
        return _word(word, name)
    choice = fields.table(body, name) or {}
    if name == "function_call":
        called = fields.required(fields.text(choice, "name", within=name + "."), name + ".name")
        return ToolChoice(mode="tool", name=called)
    kind = fields.text(choice, "type", within=name + ".") or "function"
    if kind == "function":
        at = name + ".function"
        function = fields.required(fields.table(choice, "function", within=name + "."), at)
        called = fields.required(fields.text(function, "name", within=at + "."), at + ".name")
        return ToolChoice(mode="tool", name=called)
    extras["tool_choice"] = told
    if kind == "allowed_tools":
        at = name + ".allowed_tools"
        allowed = fields.required(fields.table(choice, "allowed_tools", within=name + "."), at)
        return _word(fields.text(allowed, "mode", within=at + ".") or "auto", at + ".mode")
    return ToolChoice(mode="required")


def _word(word: str, param: str) -> ToolChoice:
    match word:
        case "auto" | "none" | "required":
            return ToolChoice(mode=word)
        case "any":
            return ToolChoice(mode="required")
        case _:
            known = "auto, none, required, or an object"
            raise InvalidParameter(f"'{param}' is {word!r}; it may be {known}.", param=param)


def _allowed_names(body: Body) -> frozenset[str] | None:
    """The functions that `tool_choice` allows; None where it allows all."""
    told = fields.get(body, "tool_choice")
    if told is None or wire.first(told) != b"{":
        return None
    allowed = fields.table(fields.table(body, "tool_choice") or {}, "allowed_tools")
    if allowed is None:
        return None
    names = set()
    for position, tool in enumerate(fields.tables(allowed, "tools") or []):
        at = f"tool_choice.allowed_tools.tools[{position}].function"
        function = fields.table(tool, "function") or {}
        if fields.text(tool, "type") in (None, "function"):
            names.add(fields.required(fields.text(function, "name"), at + ".name"))
    return frozenset(names)


def encode_tools(tools: tuple[Tool | OtherTool, ...]) -> list[object]:
    """Raises: UnsupportedParameter for a tool that only another vendor runs."""
    encoded: list[object] = []
    for position, tool in enumerate(tools):
        if isinstance(tool, OtherTool):
            if tool.protocol != NAME:
                raise UnsupportedParameter(
                    f"The tool {tool.kind!r} is run by another vendor: this model has none.",
                    param=f"tools[{position}]",
                )
            encoded.append(tool.raw)
            continue
        function: dict[str, object] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        function["parameters"] = tool.parameters
        if tool.strict is not None:
            function["strict"] = tool.strict
        encoded.append({"type": "function", "function": function})
    return encoded


def encode_choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode
