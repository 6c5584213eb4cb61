"""Tools and the choice among them, both ways.

Tools that the vendor runs (web search, code execution, a local shell, …) stay raw, for this
protocol only. A custom tool (free text, perhaps by a grammar) is for other protocols a function
with one string argument `input`; its own definition stays among the extras. Tools of a namespace
are told apart by their names (`namespaces`). Tools come as a field and as an item of the input,
which is how Codex gives them to newer models.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import OtherTool, Request, Tool, ToolChoice
from gateway.protocols.base import Body
from gateway.protocols.openai_responses import namespaces, wire
from gateway.protocols.openai_responses.namespaces import NAMESPACE
from gateway.protocols.openai_responses.wire import NAME, Wire
from gateway.protocols.shared import fields

CUSTOM = "custom"  # among the extras of a tool: its own definition
ADDED = "additional_tools"  # the type of an input item that holds tools
# What Codex offers with every request, whatever the task.
OFFERED = frozenset({"web_search", "web_search_preview", "image_generation", "tool_search"})

_ANYTHING = Tool(name="").parameters
_KNOWN = frozenset({"type", "name", "description", "parameters", "strict"})


def decode_tools(body: Body) -> tuple[Tool | OtherTool, ...]:
    """The tools; where `tool_choice` allows only some of them, those."""
    tools = tuple(tool for told, at in _told(body) for tool in _tools(told, at))
    allowed = _allowed(body)
    if allowed is None:
        return tools
    return tuple(
        tool
        for tool in tools
        if (tool.kind if isinstance(tool, OtherTool) else tool.name) in allowed
    )


def _told(body: Body) -> Iterator[tuple[wire.Object, str]]:
    """All tools, each with its path."""
    for position, tool in enumerate(fields.tables(body, "tools") or []):
        yield tool, f"tools[{position}]."
    told = fields.get(body, "input")
    if told is None or ADDED.encode() not in bytes(told) or wire.first(told) != b"[":
        return
    for place, item in enumerate(fields.tables(body, "input") or []):
        if fields.text(item, "type", within=f"input[{place}].") == ADDED:
            within = f"input[{place}]."
            for position, tool in enumerate(fields.tables(item, "tools", within=within) or []):
                yield tool, f"{within}tools[{position}]."


def _tools(tool: wire.Object, at: str) -> list[Tool | OtherTool]:
    """One, or those of a namespace."""
    if fields.text(tool, "type", within=at) != NAMESPACE:
        return [_tool(tool, at)]
    name = fields.required(fields.text(tool, "name", within=at), at + "name")
    told = fields.tables(tool, "tools", within=at) or []
    inner = [_tool(each, f"{at}tools[{position}].") for position, each in enumerate(told)]
    grouped = [each for each in inner if isinstance(each, Tool)]
    if len(grouped) < len(inner):
        return [OtherTool(protocol=NAME, kind=NAMESPACE, raw=wire.raw(tool))]
    return [namespaces.within(tool, name, each) for each in grouped]


def with_offers(request: Request) -> Request:
    """The request with those tools marked that its agent could do without."""
    choice = request.tool_choice
    is_free = choice is None or choice.mode in ("auto", "none")
    is_free = is_free and "tool_choice" not in request.extras.get(NAME, {})
    if not is_free or not any(isinstance(tool, Tool) for tool in request.tools):
        return request
    tools = tuple(
        replace(tool, optional=True)
        if isinstance(tool, OtherTool) and tool.kind in OFFERED
        else tool
        for tool in request.tools
    )
    return replace(request, tools=tools)


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
            name = fields.required(name, "tool_choice.name")
            space = fields.text(choice, NAMESPACE, within="tool_choice.") or ""
            return ToolChoice(mode="tool", name=namespaces.joined(space, name))
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
        name = fields.required(name, "tool_choice.tools.name")
        names.add(namespaces.joined(fields.text(tool, NAMESPACE) or "", name))
    return frozenset(names)


def encode_tools(tools: tuple[Tool | OtherTool, ...]) -> list[object]:
    """Raises: UnsupportedParameter for a tool that only another vendor runs."""
    return namespaces.regrouped(
        [(tool, _encode_tool(tool, f"tools[{at}]")) for at, tool in enumerate(tools)]
    )


def _encode_tool(tool: Tool | OtherTool, at: str) -> object:
    if isinstance(tool, OtherTool):
        if tool.protocol != NAME:
            raise UnsupportedParameter(
                f"The tool {tool.kind!r} is run by another vendor: this model has none.", param=at
            )
        return tool.raw
    kept = tool.extras.get(NAME, {})
    if CUSTOM in kept:
        return kept[CUSTOM]
    # Absent, `strict` would be true here, and most schemas are not made for it.
    return {
        "type": "function",
        "name": namespaces.own_name(tool),
        **({"description": tool.description} if tool.description else {}),
        "parameters": tool.parameters,
        "strict": tool.strict or False,
        **{name: raw for name, raw in kept.items() if name != NAMESPACE},
    }


def encode_choice(request: Request) -> object:
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.mode == "tool":
        kind = "custom" if choice.name in custom_names(request) else "function"
        return namespaces.Names(request).known({"type": kind, "name": choice.name})
    return choice.mode


def custom_input(arguments: str) -> str:
    """The free text of a custom tool's call; the arguments as they are, if they are another."""
    try:
        return wire.decode_custom_input(arguments).input
    except msgspec.DecodeError:
        return arguments
