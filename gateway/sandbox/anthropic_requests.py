"""Messages requests as the sandbox reads them: strictly where Anthropic is strict.

Fields that change nothing here (temperature, metadata, …) are taken and ignored.
Sources: docs.anthropic.com/en/api/messages, …/build-with-claude/extended-thinking (signatures).
"""

import base64
import hashlib
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec

from gateway.sandbox.answers import Ask, described, described_url
from gateway.sandbox.failures import Failure, Refused
from gateway.sandbox.tokens import count


class Base64Source(msgspec.Struct, tag_field="type", tag="base64"):
    media_type: str
    data: str


class UrlSource(msgspec.Struct, tag_field="type", tag="url"):
    url: str


class FileSource(msgspec.Struct, tag_field="type", tag="file"):
    file_id: str


class TextSource(msgspec.Struct, tag_field="type", tag="text"):
    data: str


Source: TypeAlias = Base64Source | UrlSource | FileSource | TextSource


class TextBlock(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class ImageBlock(msgspec.Struct, tag_field="type", tag="image"):
    source: Base64Source | UrlSource | FileSource


class DocumentBlock(msgspec.Struct, tag_field="type", tag="document"):
    source: Source


class ThinkingBlock(msgspec.Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str


class RedactedThinkingBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    data: str


class ToolUseBlock(msgspec.Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: dict[str, object]


class ToolResultBlock(msgspec.Struct, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None


Shown: TypeAlias = TextBlock | ImageBlock | DocumentBlock
Block: TypeAlias = Shown | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock


class Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]

    @property
    def blocks(self) -> list[Block]:
        return [TextBlock(self.content)] if isinstance(self.content, str) else self.content


class Tool(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: dict[str, object] | None = None


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class MessagesRequest(msgspec.Struct):
    model: str
    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None


_decoder = msgspec.json.Decoder(MessagesRequest)


def parse(body: bytes) -> Ask:
    """Raises: Refused in Anthropic's words where the request is not one."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Failure(kind="invalid_json")) from error
    for index, message in enumerate(request.messages):
        _check_text(index, message)
        _check_tools(index, request.messages)
        if request.model.partition(":")[0] == "reasoning":
            _check_signatures(index, message)
    names = _callable_tools(request)
    return Ask(
        model=request.model,
        text=_echoed(request.messages),
        input_tokens=sum(count(text) for text in _texts(request)),
        tools=names,
        forced=_forced_tool(request, names),
        max_tokens=request.max_tokens,
        stop=tuple(request.stop_sequences or ()),
        stream=bool(request.stream),
    )


def signature(thinking: str) -> str:
    """The seal of a thinking block, checked when the block comes back."""
    seal = hashlib.sha256(b"ccapi sandbox thinking\0" + thinking.encode()).digest()
    return base64.b64encode(seal).decode()


def _invalid(message: str) -> Refused:
    return Refused(Failure(kind="invalid", message=message))


def _check_text(index: int, message: Message) -> None:
    if any(isinstance(block, TextBlock) and not block.text for block in message.blocks):
        raise _invalid(f"messages.{index}: text content blocks must be non-empty")


def _check_tools(index: int, messages: list[Message]) -> None:
    """A turn answers the calls of the turn before, all of them and no others."""
    results = [b.tool_use_id for b in messages[index].blocks if isinstance(b, ToolResultBlock)]
    before = messages[index - 1].blocks if index else []
    calls = [block.id for block in before if isinstance(block, ToolUseBlock)]
    for result in results:
        if result not in calls:
            raise _invalid(
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{result}. Each `tool_result` block must have a corresponding `tool_use` block "
                "in the previous message."
            )
    missing = [call for call in calls if call not in results]
    if missing:
        raise _invalid(
            f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
            "corresponding `tool_result` block in the next message."
        )


def _check_signatures(index: int, message: Message) -> None:
    for at, block in enumerate(message.blocks):
        if isinstance(block, ThinkingBlock) and block.signature != signature(block.thinking):
            raise _invalid(
                f"messages.{index}.content.{at}: Invalid `signature` in `thinking` block"
            )


def _echoed(messages: list[Message]) -> str:
    results = [block for block in messages[-1].blocks if isinstance(block, ToolResultBlock)]
    shown = _shown_text(messages[-1])
    if results and not shown:
        return "\n".join(_result_text(result) for result in results)
    for message in reversed(messages):
        if message.role == "user":
            return _shown_text(message)
    return shown


def _shown_text(message: Message) -> str:
    shown = (b for b in message.blocks if isinstance(b, TextBlock | ImageBlock | DocumentBlock))
    return "\n".join(_block_text(block) for block in shown)


def _result_text(result: ToolResultBlock) -> str:
    if result.content is None or isinstance(result.content, str):
        return result.content or ""
    return "\n".join(_block_text(block) for block in result.content)


def _block_text(block: Shown) -> str:
    return block.text if isinstance(block, TextBlock) else _source_text(block.source)


def _source_text(source: Source) -> str:
    match source:
        case Base64Source():
            return described(source.media_type, source.data)
        case UrlSource():
            return described_url(source.url)
        case FileSource():
            return f"[file {source.file_id}]"
        case TextSource():
            return source.data


def _texts(request: MessagesRequest) -> Iterator[str]:
    """Everything that counts as input. Schemas and arguments count in their compact form."""
    system = request.system
    yield system if isinstance(system, str) else "\n".join(b.text for b in system or ())
    for tool in request.tools or ():
        yield tool.name
        yield tool.description or ""
        yield msgspec.json.encode(tool.input_schema or {}).decode()
    for message in request.messages:
        yield _shown_text(message)
        for block in message.blocks:
            if isinstance(block, ToolUseBlock):
                yield block.name
                yield msgspec.json.encode(block.input).decode()
            elif isinstance(block, ToolResultBlock):
                yield _result_text(block)


def _callable_tools(request: MessagesRequest) -> tuple[str, ...]:
    choice = request.tool_choice
    answered = any(isinstance(block, ToolResultBlock) for block in request.messages[-1].blocks)
    if answered or (choice is not None and choice.type == "none"):
        return ()
    return tuple(tool.name for tool in request.tools or ())


def _forced_tool(request: MessagesRequest, names: tuple[str, ...]) -> str | None:
    choice = request.tool_choice
    if choice is None or not names:
        return None
    if choice.type == "any":
        return names[0]
    if choice.type == "tool":
        if choice.name not in names:
            raise _invalid(f"tool_choice: tool '{choice.name}' not found in provided tools")
        return choice.name
    return None
