"""Content blocks: Anthropic's → parts of ours, in requests and in answers alike.

Blocks that only Anthropic knows (server tools and their results) become `Other` with their raw
JSON. The way back is in `turns` (requests) and `response` (answers), since each allows other
blocks.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    CacheMark,
    Extras,
    File,
    Image,
    Media,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.signatures import unseal

T = TypeVar("T")


def parse(type_: type[T], raw: Raw, path: str) -> T:
    """One value of the client's JSON as a type of `wire`.

    Raises: MissingParameter, InvalidParameter, with the path of the fault.
    """
    return parse_with(wire.decoder(type_), raw, path)


def parse_with(decoder: msgspec.json.Decoder[T], raw: Raw, path: str) -> T:
    """The same by a decoder, for unions."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        found = wire.fault(error, path)
        if found.missing:
            raise MissingParameter(f"{found.path} is required.", param=found.path) from error
        raise InvalidParameter(f"{found.path}: {found.what}.", param=found.path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"{path} is not valid JSON: {error}.", param=path) from error


def decode_content(content: str | list[Raw] | None, path: str) -> tuple[Part, ...]:
    """`content`: a string, or blocks."""
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(text=content),)
    return number_calls([decode_block(raw, f"{path}.{i}") for i, raw in enumerate(content)])


def number_calls(parts: list[Part]) -> tuple[Part, ...]:
    """The same parts, each tool call with its position among the calls."""
    index = 0
    for at, part in enumerate(parts):
        if isinstance(part, ToolCall):
            if index:
                parts[at] = msgspec.structs.replace(part, index=index)
            index += 1
    return tuple(parts)


def decode_block(raw: Raw, path: str) -> Part:
    """Raises: MissingParameter, InvalidParameter."""
    kind = parse(wire.Tag, raw, path).type
    reader = _READERS.get(kind)
    return reader(raw, path) if reader else Other(protocol=wire.NAME, kind=kind, raw=raw)


def cache_mark(control: wire.CacheControl | None) -> CacheMark | None:
    return None if control is None else CacheMark(control.ttl or "")


def unknown_fields(raw: Raw, type_: type[msgspec.Struct]) -> Extras:
    """Fields that the type does not have, as extras of this protocol."""
    fields = wire.decode_object(raw)
    more = {
        name: value
        for name, value in fields.items()
        if name not in type_.__struct_fields__ and name != "type"
    }
    return {wire.NAME: more} if more else {}


def _text(raw: Raw, path: str) -> Part:
    block = parse(wire.TextBlock, raw, path)
    citations = tuple(block.citations or ())
    return Text(
        text=block.text,
        cache=cache_mark(block.cache_control),
        citations=citations,
        citations_of=wire.NAME if citations else "",
    )


def _media(source: wire.Source, path: str) -> Media:
    """Raises: MissingParameter, InvalidParameter."""
    match source.type:
        case "base64":
            value, media = source.data, Media(data=source.data or "")
        case "url":
            value, media = source.url, Media(url=source.url or "")
        case "file":
            value, media = source.file_id, Media(file_id=source.file_id or "")
        case _:
            raise InvalidParameter(
                f"{path}.source.type: {source.type!r} is none of base64, url, file.",
                param=f"{path}.source.type",
            )
    if not value:
        field = {"base64": "data", "url": "url", "file": "file_id"}[source.type]
        raise MissingParameter(
            f"{path}.source.{field} is required.", param=f"{path}.source.{field}"
        )
    return msgspec.structs.replace(media, media_type=source.media_type or "")


def _image(raw: Raw, path: str) -> Part:
    block = parse(wire.ImageBlock, raw, path)
    return Image(source=_media(block.source, path), cache=cache_mark(block.cache_control))


def _document(raw: Raw, path: str) -> Part:
    block = parse(wire.DocumentBlock, raw, path)
    own = {
        name: value
        for name, value in (("context", block.context), ("citations", block.citations))
        if not wire.absent(value)
    }
    text, source = "", Media()
    match block.source.type:
        case "text":
            text = block.source.data or ""
        case "content":
            # A document given as blocks: its text for everybody, its own form for Anthropic.
            text = _joined(
                parse_with(wire.DOCUMENT_CONTENT, block.source.content, f"{path}.source.content")
            )
            own["source"] = Raw(wire.encode({"type": "content", "content": block.source.content}))
        case _:
            source = _media(block.source, path)
    return File(
        source=source,
        filename=block.title or "",
        text=text,
        cache=cache_mark(block.cache_control),
        extras={wire.NAME: own} if own else {},
    )


def _joined(content: str | list[wire.TextBlock]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(block.text for block in content)


def _search_result(raw: Raw, path: str) -> Part:
    """A document whose passages can be cited; `block` keeps its own form for Anthropic."""
    block = parse(wire.SearchResultBlock, raw, path)
    return File(
        source=Media(),
        filename=block.title or "",
        text=_joined(block.content),
        cache=cache_mark(block.cache_control),
        extras={wire.NAME: {"block": raw}},
    )


def _thinking(raw: Raw, path: str) -> Part:
    block = parse(wire.ThinkingBlock, raw, path)
    signature, signed_by = unseal(block.signature or "")
    return Reasoning(text=block.thinking, signature=signature, signed_by=signed_by)


def _redacted_thinking(raw: Raw, path: str) -> Part:
    data, signed_by = unseal(parse(wire.RedactedThinkingBlock, raw, path).data)
    return RedactedReasoning(data=data, signed_by=signed_by)


def _tool_use(raw: Raw, path: str) -> Part:
    block = parse(wire.ToolUseBlock, raw, path)
    return ToolCall(
        id=block.id,
        name=block.name,
        arguments="{}" if wire.absent(block.input) else wire.text(block.input),
        cache=cache_mark(block.cache_control),
        extras=unknown_fields(raw, wire.ToolUseBlock),
    )


def _tool_result(raw: Raw, path: str) -> Part:
    block = parse(wire.ToolResultBlock, raw, path)
    return ToolResult(
        call_id=block.tool_use_id,
        parts=decode_content(block.content, f"{path}.content"),
        is_error=bool(block.is_error),
        cache=cache_mark(block.cache_control),
    )


_READERS: dict[str, Callable[[Raw, str], Part]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
