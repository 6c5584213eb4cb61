"""A request with tools → the same request without: tools, calls and results told as text.

The tools stand in a guide behind the client's own system prompt; earlier calls and results become
text in the form that the guide teaches. Images and files of results follow their text. Tools that a
vendor runs itself stay as they are.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from gateway.ir.request import (
    Message,
    OtherTool,
    Part,
    RedactedReasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.tool_compat import guide
from gateway.tool_compat.guide import Dialect, render_call
from gateway.tool_compat.tags import GUIDELINES_OPEN

__all__ = ["dialect_for", "told_in_text", "without_tool_fields"]


def dialect_for(upstream_model: str) -> Dialect:
    """The dialect that this model follows best.

    NVIDIA's Nemotron models write `<invoke>` reliably and `<cs:tool_use>` rarely (reported by users
    of the gateway that this dialect comes from, issue 12 there); all others are taught the latter.
    """
    return "invoke" if "nemotron" in upstream_model.lower() else "cs"


def told_in_text(request: Request, dialect: Dialect) -> Request:
    """The request as a model without tools understands it; unchanged where it has none."""
    functions = [tool for tool in request.tools if isinstance(tool, Tool)]
    if not functions:
        return request
    return replace(
        request,
        messages=_messages(request, functions, dialect),
        tools=tuple(tool for tool in request.tools if isinstance(tool, OtherTool)),
        tool_choice=None,
        parallel_tool_calls=None,
        extras=without_tool_fields(request),
    )


def without_tool_fields(request: Request) -> dict[str, dict[str, msgspec.Raw]]:
    """Raw fields that would bring the tools back (`tool_choice` of a form that only one knows)."""
    return {
        protocol: {
            name: value
            for name, value in fields.items()
            if name not in ("tool_choice", "toolConfig", "parallel_tool_calls")
        }
        for protocol, fields in request.extras.items()
    }


def _messages(request: Request, tools: list[Tool], dialect: Dialect) -> tuple[Message, ...]:
    taught = Text(text=guide.text(tools, dialect, rule=_rule(request)))
    messages: list[Message] = []
    results: list[Part] = []
    for message in request.messages:
        answered = [part for part in message.parts if isinstance(part, ToolResult)]
        for part in answered:
            results += _result(part)
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if not rest:
            continue
        if results:
            messages.append(Message(role="user", parts=tuple(results)))
            results = []
        role = "user" if message.role == "tool" else message.role
        parts = _assistant(rest, dialect) if role == "assistant" else tuple(rest)
        messages.append(replace(message, role=role, parts=parts))
    if results:
        messages.append(Message(role="user", parts=tuple(results)))
    return _with_guide(messages, taught)


def _with_guide(messages: list[Message], taught: Text) -> tuple[Message, ...]:
    """The guide behind the last of the leading system messages, after a blank line.

    A group's guidelines stay behind it.
    """
    last = -1
    for position, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            break
        last = position
    if last < 0:
        return (Message(role="system", parts=(taught,)), *messages)
    system = messages[last]
    own, guidelines = system.parts, system.parts[:0]
    if own and isinstance(own[-1], Text) and own[-1].text.lstrip().startswith(GUIDELINES_OPEN):
        own, guidelines = own[:-1], own[-1:]
    text = "\n\n" + taught.text if own else taught.text + "\n\n"
    guided = replace(system, parts=(*own, Text(text=text), *guidelines))
    return (*messages[:last], guided, *messages[last + 1 :])


def _assistant(parts: Sequence[Part], dialect: Dialect) -> tuple[Part, ...]:
    """What the model said: its text as it was, its calls as it should have written them."""
    told: list[Part] = []
    for part in parts:
        match part:
            case ToolCall():
                text = render_call(part, dialect)
                if told and isinstance(told[-1], Text):
                    text = "\n" + text
                told.append(Text(text=text, cache=part.cache))
            case RedactedReasoning():
                # Means nothing without the calls that it led to.
                continue
            case _:
                told.append(part)
    return _joined(told)


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring texts in one, since some protocols take a single text of an assistant."""
    joined: list[Part] = []
    for part in parts:
        before = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(before, Text) and not before.citations:
            joined[-1] = Text(text=before.text + part.text, cache=part.cache or before.cache)
        else:
            joined.append(part)
    return tuple(joined)


def _result(result: ToolResult) -> list[Part]:
    texts = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    head = guide.result(result.call_id, texts, is_error=result.is_error)
    others = [part for part in result.parts if not isinstance(part, Text)]
    return [Text(text=head, cache=result.cache), *others]


def _rule(request: Request) -> str:
    """The client's `tool_choice`, as a sentence."""
    choice = request.tool_choice or ToolChoice(mode="auto")
    match choice.mode:
        case "none":
            rule = "In this answer you must NOT call any tool: answer in plain text."
        case "required":
            rule = "In this answer you MUST call at least one tool."
        case "tool":
            rule = f"In this answer you MUST call the tool {choice.name}."
        case "auto":
            rule = "Call a tool only when you need it; otherwise answer in plain text."
    if request.parallel_tool_calls is False and choice.mode != "none":
        rule += " Make at most ONE call."
    return rule
