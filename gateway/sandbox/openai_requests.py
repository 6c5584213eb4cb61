"""Chat Completions requests as the sandbox reads them: strictly where OpenAI is strict.

Fields that change nothing here (temperature, seed, …) are taken and ignored.
Source: platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec

from gateway.sandbox.answers import Ask, described, described_url
from gateway.sandbox.failures import Failure, Refused, parsed
from gateway.sandbox.tokens import count

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(msgspec.Struct):
    url: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(msgspec.Struct):
    data: str
    format: str


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: Audio


class File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, tag_field="type", tag="file"):
    file: File


class Function(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    id: str
    function: Function


UserPart: TypeAlias = TextPart | ImagePart | AudioPart | FilePart
Part: TypeAlias = UserPart | RefusalPart


class SystemMessage(msgspec.Struct, tag_field="role", tag="system"):
    content: str | list[TextPart]


class DeveloperMessage(msgspec.Struct, tag_field="role", tag="developer"):
    content: str | list[TextPart]


class UserMessage(msgspec.Struct, tag_field="role", tag="user"):
    content: str | list[UserPart]


class AssistantMessage(msgspec.Struct, tag_field="role", tag="assistant"):
    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[ToolCall] | None = None


class ToolMessage(msgspec.Struct, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | list[TextPart]


Message: TypeAlias = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionDefinition(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None


class Tool(msgspec.Struct):
    function: FunctionDefinition


class FunctionName(msgspec.Struct):
    name: str


class NamedChoice(msgspec.Struct):
    function: FunctionName | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | NamedChoice | None = None


_decode = msgspec.json.Decoder(ChatRequest).decode


def parse(body: bytes) -> Ask:
    """Raises: Refused in OpenAI's words where the request is not one."""
    request = parsed(_decode, body)
    _check_tool_results(request.messages)
    if request.stream_options is not None and not request.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(Failure(kind="invalid", message=message, param="stream_options"))
    options = request.stream_options
    return Ask(
        model=request.model,
        text=_echoed(request.messages),
        input_tokens=_input_tokens(request),
        tools=_callable_tools(request),
        forced=_forced_tool(request),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
        n=request.n or 1,
        stream=bool(request.stream),
        include_usage=not request.stream or bool(options and options.include_usage),
    )


def _check_tool_results(messages: list[Message]) -> None:
    """Every call is followed by its result, and nothing else is a result."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                text = (
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'."
                )
                param = f"messages.[{index}].role"
                raise Refused(Failure(kind="invalid", message=text, param=param))
            open_calls.remove(message.tool_call_id)
            continue
        _refuse_unanswered(open_calls, index)
        if isinstance(message, AssistantMessage):
            open_calls = {call.id for call in message.tool_calls or ()}
    _refuse_unanswered(open_calls, len(messages))


def _refuse_unanswered(open_calls: set[str], index: int) -> None:
    if open_calls:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(open_calls))
        )
        param = f"messages.[{index}].role"
        raise Refused(Failure(kind="invalid", message=text, param=param))


def _echoed(messages: list[Message]) -> str:
    if isinstance(messages[-1], ToolMessage):
        results: list[str] = []
        for message in reversed(messages):
            if not isinstance(message, ToolMessage):
                break
            results.append(_text(message.content))
        return "\n".join(reversed(results))
    for message in reversed(messages):
        if isinstance(message, UserMessage):
            return _text(message.content)
    return _text(messages[-1].content)


def _text(
    content: str | list[TextPart] | list[UserPart] | list[TextPart | RefusalPart] | None,
) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part_text(part) for part in content)


def _part_text(part: Part) -> str:
    match part:
        case TextPart():
            return part.text
        case RefusalPart():
            return part.refusal
        case ImagePart():
            return described_url(part.image_url.url)
        case AudioPart():
            return described(f"audio/{part.input_audio.format}", part.input_audio.data)
        case FilePart():
            if part.file.file_data is not None:
                return described_url(part.file.file_data)
            return f"[file {part.file.file_id}]"


def _input_tokens(request: ChatRequest) -> int:
    return sum(count(text) for text in _texts(request))


def _texts(request: ChatRequest) -> Iterator[str]:
    """Everything that counts as input. Schemas and arguments count in their compact form."""
    for tool in request.tools or ():
        definition = tool.function
        yield definition.name
        yield definition.description or ""
        yield msgspec.json.encode(definition.parameters or {}).decode()
    for message in request.messages:
        yield _text(message.content)
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls or ():
                yield call.function.name
                yield _compact(call.function.arguments)


def _compact(arguments: str) -> str:
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments)).decode()
    except (msgspec.DecodeError, RecursionError):
        # OpenAI takes arguments that are not JSON: they are its model's own words coming back.
        return arguments


def _names(request: ChatRequest) -> tuple[str, ...]:
    return tuple(tool.function.name for tool in request.tools or ())


def _callable_tools(request: ChatRequest) -> tuple[str, ...]:
    if request.tool_choice == "none" or isinstance(request.messages[-1], ToolMessage):
        return ()
    return _names(request)


def _forced_tool(request: ChatRequest) -> str | None:
    names = _callable_tools(request)
    choice = request.tool_choice
    if isinstance(choice, NamedChoice):
        named = choice.function.name if choice.function else None
        if named is not None and named not in _names(request):
            text = f"Tool choice '{named}' not found in 'tools' parameter."
            raise Refused(Failure(kind="invalid", message=text, param="tool_choice"))
        return named if named in names else None
    return names[0] if choice == "required" and names else None
