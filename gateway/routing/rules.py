"""What a group does to a request: its prompt, its tools, its temperature. Pure functions on the IR.

Under compat mode the guide of the tools comes between the client's own system prompt and the
group's guidelines (`tool_compat.prompt` sees to that).
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from catalog.types import Group
from ccapi.core.errors import RequestTooLarge
from gateway import ports
from gateway.ir.request import Message, OtherTool, Part, Request, Text, Tool, ToolResult
from gateway.tool_compat.prompt import without_tool_fields
from gateway.tool_compat.tags import GUIDELINES_CLOSE, GUIDELINES_OPEN

SYSTEM = ("system", "developer")
# Replacing may lengthen a prompt by so many characters at most.
GROWTH_MAX = 1_000_000
TEMPERATURE_MAX = 2.0


def is_compat(group: Group | None, *, path: bool) -> bool:
    """Whether tools are told in the prompt: the group's word, else the path's."""
    if group is None or group.tool_compat == "auto":
        return path
    return group.tool_compat == "compat"


def ruled(request: Request, group: Group, alias: str) -> Request | None:
    """The request as the group's rules make it; None where they change nothing.

    `alias` is what the client asked for. Raises: RequestTooLarge.
    """
    changed = _with_tools_filtered(request, group)
    if group.prompt_replace:
        changed = _with_replacements(changed, group)
    if _injects(request, group, alias):
        changed = _with_guidelines(changed, group)
    if group.temperature_ratio != 1 and request.temperature is not None:
        changed = replace(changed, temperature=_warmed(request.temperature, group))
    return None if changed is request else changed


def _warmed(temperature: float, group: Group) -> float:
    """Within what any protocol takes; encoders of narrower ones clamp it further."""
    return min(temperature * group.temperature_ratio, max(temperature, TEMPERATURE_MAX))


def _with_tools_filtered(request: Request, group: Group) -> Request:
    if not group.tool_filter:
        return request
    kept = tuple(tool for tool in request.tools if not group.tool_filter & set(_names(tool)))
    if len(kept) == len(request.tools):
        return request
    choice = request.tool_choice
    if not kept:
        return replace(
            request,
            tools=(),
            tool_choice=None,
            parallel_tool_calls=None,
            extras=without_tool_fields(request),
        )
    if choice is not None and choice.mode == "tool" and choice.name in group.tool_filter:
        choice = None
    return replace(request, tools=kept, tool_choice=choice)


def _names(tool: Tool | OtherTool) -> Iterator[str]:
    """By what a tool may be called: one that a vendor runs has a kind, and often a name."""
    if isinstance(tool, Tool):
        yield tool.name
        return
    yield tool.kind
    fields = msgspec.json.decode(tool.raw)
    if isinstance(fields, dict) and isinstance(fields.get("name"), str):
        yield fields["name"]


def _with_replacements(request: Request, group: Group) -> Request:
    """Literally, in the client's own system prompt, one after another."""
    room = GROWTH_MAX
    messages = list(request.messages)
    touched = False
    for at, message in enumerate(messages):
        if message.role not in SYSTEM:
            continue
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, Text):
                text = _replaced(part.text, group, room)
                room -= max(0, len(text) - len(part.text))
                if text != part.text:
                    part = replace(part, text=text)  # noqa: PLW2901 — its cache mark stays
                    touched = True
            parts.append(part)
        messages[at] = replace(message, parts=tuple(parts))
    return replace(request, messages=tuple(messages)) if touched else request


def _replaced(text: str, group: Group, room: int) -> str:
    """Raises: RequestTooLarge, before it grows."""
    most = len(text) + room
    for pair in group.prompt_replace:
        longer = len(pair.value) - len(pair.key)
        if longer > 0 and len(text) + text.count(pair.key) * longer > most:
            raise RequestTooLarge(
                f"The replacements of group {group.name!r} make the system prompt longer by more"
                f" than {GROWTH_MAX} characters."
            )
        text = text.replace(pair.key, pair.value)
    return text


def _injects(request: Request, group: Group, alias: str) -> bool:
    if group.prompt_injection == "off" or not (group.inject == "always" or request.tools):
        return False
    return not group.inject_for or any(ports.matches(each, alias) for each in group.inject_for)


def _with_guidelines(request: Request, group: Group) -> Request:
    text = GUIDELINES_OPEN + group.prompt_text + GUIDELINES_CLOSE
    messages = request.messages
    if group.prompt_position == "user":
        at = _last_user(messages)
        if at is not None:
            turn = _in_front(messages[at], text)
            return replace(request, messages=(*messages[:at], turn, *messages[at + 1 :]))
    if group.prompt_injection == "replace":
        rest = tuple(message for message in messages if message.role not in SYSTEM)
        messages = (Message(role="system", parts=(Text(text=text),)), *rest)
    else:
        messages = _behind_system(messages, text)
    return replace(request, messages=messages)


def _last_user(messages: tuple[Message, ...]) -> int | None:
    """The last message that a person wrote: one of tool results alone is none."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if message.role == "user" and not all(
            isinstance(part, ToolResult) for part in message.parts
        ):
            return at
    return None


def _in_front(message: Message, text: str) -> Message:
    """Before what the person wrote, and behind tool results: vendors want those first."""
    at = 0
    while isinstance(message.parts[at], ToolResult):
        at += 1
    told = Text(text=text + "\n\n")
    return replace(message, parts=(*message.parts[:at], told, *message.parts[at:]))


def _behind_system(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """Behind the last of the leading system messages, as a part of its own: marks stay."""
    last = -1
    for at, message in enumerate(messages):
        if message.role not in SYSTEM:
            break
        last = at
    if last < 0:
        return (Message(role="system", parts=(Text(text=text),)), *messages)
    system = messages[last]
    told = replace(system, parts=(*system.parts, Text(text="\n\n" + text)))
    return (*messages[:last], told, *messages[last + 1 :])
