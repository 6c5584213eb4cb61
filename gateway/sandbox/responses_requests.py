"""Responses requests as the sandbox reads them. Fields that change nothing here are ignored.

Source: platform.openai.com/docs/api-reference/responses/create
"""

import base64
import hashlib
from collections.abc import Iterator
from typing import Annotated

import msgspec

from gateway.sandbox.answers import Ask, described_url
from gateway.sandbox.failures import Failure, Refused, parsed
from gateway.sandbox.tokens import count


class Content(msgspec.Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None


class Item(msgspec.Struct):
    """Every input item, all kinds in one; one without a type is a message."""

    type: str = "message"
    role: str = "user"
    content: str | list[Content] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[Content] = ""
    summary: list[Content] = []
    encrypted_content: str | None = None


class Tool(msgspec.Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, object] | None = None


class ToolChoice(msgspec.Struct):
    name: str = ""


class Request(msgspec.Struct):
    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=16)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    previous_response_id: str | None = None


_decode = msgspec.json.Decoder(Request).decode
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")


def parse(body: bytes) -> Ask:
    """Raises: Refused in OpenAI's words where the request is not one."""
    request = parsed(_decode, body)
    if request.previous_response_id:
        message = f"Previous response with id '{request.previous_response_id}' not found."
        raise _invalid(message, "previous_response_id")
    told = request.input
    items = [Item(content=told)] if isinstance(told, str) else told
    if not items:
        raise _invalid("Missing required parameter: 'input'.", "input")
    _check_calls(items)
    if request.model.partition(":")[0] == "reasoning":
        _check_thoughts(items)
    names = _callable(request, items)
    return Ask(
        model=request.model,
        text=_echoed(items),
        input_tokens=sum(map(count, _texts(request, items))),
        tools=names,
        forced=_forced(request, names),
        max_tokens=request.max_output_tokens,
        stream=bool(request.stream),
    )


def encrypted(thoughts: str) -> str:
    """What the sandbox keeps of its thoughts with the client."""
    seal = hashlib.sha256(b"ccapi sandbox reasoning\0" + thoughts.encode()).digest()
    return base64.b64encode(seal).decode()


def _invalid(message: str, param: str | None = None) -> Refused:
    return Refused(Failure(kind="invalid", message=message, param=param))


def _check_calls(items: list[Item]) -> None:
    """Every call has its output somewhere behind it, and every output its call before it."""
    open_calls: set[str] = set()
    for item in items:
        if item.type in _CALLS:
            open_calls.add(item.call_id)
        elif item.type in _RESULTS:
            if item.call_id not in open_calls:
                raise _invalid(
                    f"No tool call found for function call output with call_id {item.call_id}.",
                    "input",
                )
            open_calls.remove(item.call_id)
    if open_calls:
        first = sorted(open_calls)[0]
        raise _invalid(f"No tool output found for function call {first}.", "input")


def _check_thoughts(items: list[Item]) -> None:
    for item in items:
        thoughts = "".join(part.text for part in item.summary)
        told = item.encrypted_content
        if item.type == "reasoning" and told and told != encrypted(thoughts):
            raise _invalid("The encrypted content could not be verified.", "input")


def _callable(request: Request, items: list[Item]) -> tuple[str, ...]:
    if request.tool_choice == "none" or items[-1].type in _RESULTS:
        return ()
    return tuple(tool.name for tool in request.tools or () if tool.type == "function")


def _forced(request: Request, names: tuple[str, ...]) -> str | None:
    choice = request.tool_choice
    if isinstance(choice, ToolChoice):
        if choice.name and names and choice.name not in names:
            message = f"Tool choice '{choice.name}' not found in 'tools' parameter."
            raise _invalid(message, "tool_choice")
        return choice.name if choice.name in names else None
    return names[0] if choice == "required" and names else None


def _echoed(items: list[Item]) -> str:
    if items[-1].type in _RESULTS:
        results: list[str] = []
        for item in reversed(items):
            if item.type not in _RESULTS:
                break
            results.append(_text(item.output))
        return "\n".join(reversed(results))
    users = [item for item in items if item.type == "message" and item.role == "user"]
    return _text((users[-1] if users else items[-1]).content)


def _text(content: str | list[Content] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(map(_part_text, content))


def _part_text(part: Content) -> str:
    match part.type:
        case "input_image" if part.image_url:
            return described_url(part.image_url)
        case "input_file" if part.file_data:
            return described_url(part.file_data)
        case "input_file" | "input_image":
            return f"[file {part.file_url or part.file_id}]"
    return part.text or part.refusal


def _texts(request: Request, items: list[Item]) -> Iterator[str]:
    """Everything that counts as input. Schemas and arguments count in their compact form."""
    yield request.instructions or ""
    for tool in request.tools or ():
        yield tool.name
        yield tool.description or ""
        yield msgspec.json.encode(tool.parameters or {}).decode()
    for item in items:
        yield _text(item.content)
        yield item.name
        yield item.arguments
        yield _text(item.output)
