"""Tools and the choice among them, both ways.

Tools that the vendor runs (web search, code execution, a local shell, …) stay raw, for this
protocol only. A custom tool (free text, perhaps by a grammar) is for other protocols a function
with one string argument `input`; its own definition stays among the extras.
"""

import msgspec

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import OtherTool, Request, Tool, ToolChoice
from gateway.protocols.base import Body
from gateway.protocols.openai_responses import wire
from gateway.protocols.openai_responses.wire import NAME, Wire
from gateway.protocols.shared import fields

CUSTOM = "custom"  # among the extras of a tool: its own definition

_ANYTHING = Tool(name="").parameters
_KNOWN = frozenset({"type", "name", "description", "parameters", "strict"})


def decode_tools(body: Body) -> tuple[Tool | OtherTool, ...]:
    """The tools; where `tool_choice` allows only some of them, those."""
    told = fields.tables(body, "tools") or []
    tools = tuple(_tool(tool, f"tools[{position}].") for position, tool in enumerate(told))
    allowed = _allowed(body)
    if allowed is None:
        return tools
    return tuple(
        tool
        for tool in tools
        if (tool.kind if isinstance(tool, OtherTool) else tool.name) in allowed
    )


def _tool(tool: wire.Object, at: str) -> Tool | OtherTool:
    kind = fields.required(fields.text(tool, "type", within=at), at + "type")
    if kind == "custom":
        return _custom(tool, at)
    if kind != "function":
        return OtherTool(protocol=NAME, kind=kind, raw=wire.raw(tool))
    parameters = fields.get(tool, "parameters")
    if parameters is not None and wire.first(parameters) != b"{":
        raise InvalidParameter(f"'{at}parameters' must be an object.", param=at + "parameters")
    kept = {name: raw for name, raw in tool.items() if name not in _KNOWN and wire.is_set(raw)}
    return Tool(
        name=fields.required(fields.text(tool, "name", within=at), at + "name"),
        description=fields.text(tool, "description", within=at) or "",
        parameters=_ANYTHING if parameters is None else parameters,
        strict=fields.flag(tool, "strict", within=at),
        extras={NAME: kept} if kept else {},
    )


def _custom(tool: wire.Object, at: str) -> Tool:
    """Models of other protocols are told the grammar, if any, in words."""
    told = fields.text(tool, "description", within=at) or ""
    form = fields.table(tool, "format", within=at) or {}
    definition = fields.text(form, "definition", within=at + "format.")
    about: Wire = {"type": "string"}
    if definition:
        syntax = fields.text(form, "syntax", within=at + "format.") or "given"
        about["description"] = f"Text that matches this {syntax} grammar:\n{definition}"
    schema = {"type": "object", "properties": {"input": about}, "required": ["input"]}
    return Tool(
        name=fields.required(fields.text(tool, "name", within=at), at + "name"),
        description=told,
        parameters=wire.raw(schema),
        extras={NAME: {CUSTOM: wire.raw(tool)}},
    )


def custom_names(request: Request | None) -> frozenset[str]:
    """The tools whose calls the client awaits as free text."""
    if request is None:
        return frozenset()
    return frozenset(
        tool.name
        for tool in request.tools
        if isinstance(tool, Tool) and CUSTOM in tool.extras.get(NAME, {})
    )


def decode_choice(body: Body, extras: wire.Object) -> ToolChoice | None:
    """`extras` gains the raw choice where our type says less than what came."""
    told = fields.get(body, "tool_choice")
    if told is None:
        return None
    if wire.first(told) == b'"':
        return _word(fields.text(body, "tool_choice") or "", "tool_choice")
    choice = fields.table(body, "tool_choice") or {}
    kind = fields.text(choice, "type", within="tool_choice.") or "function"
    match kind:
        case "function" | "custom":
            name = fields.text(choice, "name", within="tool_choice.")
            return ToolChoice(mode="tool", name=fields.required(name, "tool_choice.name"))
        case "allowed_tools":
            mode = fields.text(choice, "mode", within="tool_choice.") or "auto"
            return _word(mode, "tool_choice.mode")
        case _:
            extras["tool_choice"] = told
            return None


def _word(word: str, param: str) -> ToolChoice:
    match word:
        case "auto" | "none" | "required":
            return ToolChoice(mode=word)
        case _:
            known = "auto, none, required, or an object"
            raise InvalidParameter(f"'{param}' is {word!r}; it may be {known}.", param=param)


def _allowed(body: Body) -> frozenset[str] | None:
    """Names (of the vendor's tools: kinds) that `tool_choice` allows; None where it allows all."""
    told = fields.get(body, "tool_choice")
    if told is None or wire.first(told) != b"{":
        return None
    choice = fields.table(body, "tool_choice") or {}
    if fields.text(choice, "type", within="tool_choice.") != "allowed_tools":
        return None
    names = set()
    for tool in fields.tables(choice, "tools", within="tool_choice.") or []:
        kind = fields.text(tool, "type") or "function"
        own = kind in ("function", "custom")
        name = fields.text(tool, "name") if own else kind
        names.add(fields.required(name, "tool_choice.tools.name"))
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
        kept = tool.extras.get(NAME, {})
        if CUSTOM in kept:
            encoded.append(kept[CUSTOM])
            continue
        # Absent, `strict` would be true here, and most schemas are not made for it.
        encoded.append(
            {
                "type": "function",
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": tool.parameters,
                "strict": tool.strict or False,
                **kept,
            }
        )
    return encoded


def encode_choice(request: Request) -> object:
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.mode == "tool":
        kind = "custom" if choice.name in custom_names(request) else "function"
        return {"type": kind, "name": choice.name}
    return choice.mode


def custom_input(arguments: str) -> str:
    """The free text of a custom tool's call; the arguments as they are, if they are another."""
    try:
        return wire.decode_custom_input(arguments).input
    except msgspec.DecodeError:
        return arguments
