"""Tools and the choice among them, both ways.

A function's schema comes as `parameters` (the subset of OpenAPI) or as `parametersJsonSchema`; an
upstream always gets the latter, unless the client wrote the former itself. Tools that Google runs
(`googleSearch`, `urlContext`, `codeExecution`, …) stay raw.
"""

import re

import msgspec

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import OtherTool, Request, Tool, ToolChoice
from gateway.protocols.base import Body
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.schemas import to_json_schema
from gateway.protocols.shared import fields

_ANYTHING = Tool(name="").parameters
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_OWN = frozenset({"parameters", "behavior", "response", "responseJsonSchema"})


def decode_tools(body: Body) -> tuple[Tool | OtherTool, ...]:
    """The tools; where the tool config forces a call of some of them, those.

    Raises: MissingParameter, InvalidParameter.
    """
    tools: list[Tool | OtherTool] = []
    for position, raw in enumerate(fields.tables(body, "tools") or ()):
        at = f"tools[{position}]."
        told = wire.spelled(raw)
        for kind, value in told.items():
            if kind != "functionDeclarations":
                if wire.is_set(value):
                    tools.append(
                        OtherTool(protocol=wire.NAME, kind=kind, raw=wire.raw({kind: value}))
                    )
                continue
            for index, declaration in enumerate(fields.tables(told, kind, within=at) or ()):
                tools.append(_declaration(wire.spelled(declaration), f"{at}{kind}[{index}]."))
    allowed = _allowed_names(body)
    if not allowed:
        return tuple(tools)
    return tuple(tool for tool in tools if isinstance(tool, OtherTool) or tool.name in allowed)


def _declaration(told: wire.Object, at: str) -> Tool:
    schema = fields.get(told, "parametersJsonSchema")
    subset = fields.get(told, "parameters")
    try:
        parameters = _ANYTHING
        if schema is not None:
            wire.decode_object(schema)
            parameters = schema
        elif subset is not None:
            parameters = to_json_schema(subset)
    except msgspec.DecodeError:
        raise InvalidParameter(f"'{at}parameters' must be an object.", param=at) from None
    own = {name: value for name, value in told.items() if name in _OWN and wire.is_set(value)}
    return Tool(
        name=fields.required(fields.text(told, "name", within=at), at + "name"),
        description=fields.text(told, "description", within=at) or "",
        parameters=parameters,
        extras={wire.NAME: own} if own else {},
    )


def _calling(body: Body) -> wire.Object:
    config = wire.spelled(fields.table(body, "toolConfig") or {})
    at = "toolConfig."
    return wire.spelled(fields.table(config, "functionCallingConfig", within=at) or {})


def _allowed_names(body: Body) -> frozenset[str]:
    return frozenset(fields.texts(_calling(body), "allowedFunctionNames") or ())


def decode_choice(body: Body) -> ToolChoice | None:
    """VALIDATED is AUTO with calls that keep to their schema.

    Source: https://ai.google.dev/api/caching#FunctionCallingConfig
    """
    calling = _calling(body)
    param = "toolConfig.functionCallingConfig.mode"
    mode = fields.text(calling, "mode", within="toolConfig.functionCallingConfig.")
    match (mode or "").upper():
        case "" | "MODE_UNSPECIFIED":
            return None
        case "NONE":
            return ToolChoice(mode="none")
        case "AUTO" | "VALIDATED":
            return ToolChoice(mode="auto")
        case "ANY":
            names = fields.texts(calling, "allowedFunctionNames") or []
            if len(names) == 1:
                return ToolChoice(mode="tool", name=names[0])
            return ToolChoice(mode="required")
    raise InvalidParameter(
        f"'{param}' is {mode!r}; it may be AUTO, ANY, NONE or VALIDATED.", param=param
    )


def choice_says_all(body: Body) -> bool:
    """Whether our `ToolChoice` is all that the tool config says."""
    config = wire.spelled(fields.table(body, "toolConfig") or {})
    calling = _calling(body)
    mode = (fields.text(calling, "mode") or "").upper()
    names = fields.texts(calling, "allowedFunctionNames") or []
    return (
        config.keys() <= {"functionCallingConfig"}
        and mode != "VALIDATED"
        and (not names or (mode == "ANY" and len(names) == 1))
    )


def encode_tools(request: Request) -> wire.Json:
    """`tools` and `toolConfig`. Raises: UnsupportedParameter."""
    declarations: list[wire.Json] = []
    tools: list[object] = []  # all functions in one, where the first of them stood
    for position, tool in enumerate(request.tools):
        at = f"tools[{position}]"
        if isinstance(tool, OtherTool):
            if tool.protocol != wire.NAME:
                raise UnsupportedParameter(
                    f"{at}: the tool {tool.kind!r} is run by another vendor: this model has none.",
                    param=at,
                )
            tools.append(tool.raw)
            continue
        if not declarations:
            tools.append({"functionDeclarations": declarations})
        declarations.append(_encode_declaration(tool, at))
    encoded: wire.Json = {"tools": tools} if tools else {}
    if declarations and request.tool_choice is not None:
        encoded["toolConfig"] = {"functionCallingConfig": _encode_choice(request.tool_choice)}
    return encoded


def _encode_declaration(tool: Tool, at: str) -> wire.Json:
    if not _NAME.fullmatch(tool.name):
        # Under another name, its calls would be of a tool that the client does not know.
        raise UnsupportedParameter(
            f"{at}: this model takes letters, digits, _ . : and - in a tool's name, which begins "
            f"with a letter or _, not {tool.name!r}.",
            param=at,
        )
    own = tool.extras.get(wire.NAME, {})
    told: wire.Json = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    if "parameters" not in own and bytes(tool.parameters) != bytes(_ANYTHING):
        told["parametersJsonSchema"] = tool.parameters
    return told | own


def _encode_choice(choice: ToolChoice) -> wire.Json:
    if choice.mode == "tool":
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    return {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice.mode]}
