"""Contents of a request, wire → ours.

Calls have no ids in most of Gemini's traffic: those without get one by their position, and results
find their call by the id where there is one, else by name and order. A signature stands on whatever
part follows the thoughts it signs (text, call, or the thought itself); ours stands on the thoughts,
so it moves there, and `contents_out` moves it back. Parts that only Gemini knows (executable code,
its result, server-side tools) become `Other` with their raw JSON.
"""

import msgspec

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Message,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.media import decode_media
from gateway.protocols.gemini.signatures import unseal
from gateway.protocols.shared import fields

REDACTED = "#redacted"  # behind the name of the protocol, in a seal of redacted thoughts

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "": "user"}
# What beside its content a part may have.
_ASIDE = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution"})
_TEXT_KEYS = ("output", "result")
UNWRAPPED = (*_TEXT_KEYS, "error")


class Calls:
    """The calls of a conversation so far, and which of them still wait for their result."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[tuple[str, str]] = []  # (id, name)

    def add(self, call_id: str, name: str) -> str:
        """The call's id, made from its position where it has none."""
        call_id = call_id or f"call_{self._count}"
        self._count += 1
        self._waiting.append((call_id, name))
        return call_id

    def answer(self, call_id: str, name: str) -> str:
        """The id of the call that this result answers: by id, else by name and order."""
        for wanted in ((call_id, None), (None, name)):
            for at, (waiting, called) in enumerate(self._waiting):
                if waiting == wanted[0] or called == wanted[1]:
                    del self._waiting[at]
                    return waiting
        return call_id or f"result_{name}"


def decode_contents(contents: list[wire.Object]) -> list[Message]:
    """Raises: MissingParameter, InvalidParameter, with the path of the field at fault."""
    calls = Calls()
    messages: list[Message] = []
    for position, content in enumerate(contents):
        at = f"contents[{position}]."
        content = wire.spelled(content)  # noqa: PLW2901 - the same object, spelled one way
        word = fields.text(content, "role", within=at) or ""
        role = _ROLES.get(word)
        if role is None:
            raise InvalidParameter(
                f"'{at}role' is {word!r}; it may be user or model.", param=at + "role"
            )
        messages.append(Message(role=role, parts=decode_parts(content, at, calls)))
    return messages


def decode_parts(content: wire.Object, at: str, calls: Calls) -> tuple[Part, ...]:
    """The parts of a content (an instruction too). Raises: MissingParameter, InvalidParameter."""
    parts: list[Part] = []
    index = 0
    for position, raw in enumerate(fields.tables(content, "parts", within=at) or ()):
        for part in _decode_part(wire.spelled(raw), f"{at}parts[{position}].", calls):
            if isinstance(part, ToolCall):
                part = msgspec.structs.replace(part, index=index)  # noqa: PLW2901
                index += 1
            add_part(parts, part)
    return tuple(parts)


def add_part(parts: list[Part], part: Part) -> None:
    """Append; thoughts that follow each other are one, up to the signature that ends them."""
    last = parts[-1] if parts else None
    if isinstance(part, Reasoning) and isinstance(last, Reasoning) and not last.signature:
        parts[-1] = Reasoning(
            text=last.text + part.text, signature=part.signature, signed_by=part.signed_by
        )
    else:
        parts.append(part)


def _decode_part(part: wire.Object, at: str, calls: Calls) -> list[Part]:
    """The part, its signature in front of it as thoughts of our kind."""
    thought = fields.flag(part, "thought", within=at) or False
    signature = fields.text(part, "thoughtSignature", within=at) or ""
    kind = next((name for name in part if name not in _ASIDE and wire.is_set(part[name])), "")
    if not kind and not signature and not thought:
        raise MissingParameter(f"'{at}text' is required.", param=at + "text")
    if kind in ("", "text"):
        text = fields.text(part, "text", within=at) or ""
        return [
            *signed_thoughts(text if thought else "", signature),
            *([Text(text=text)] if not thought and (text or not signature) else []),
        ]
    if kind in _READERS:
        return [*signed_thoughts("", signature), _READERS[kind](part, at, calls)]
    return [Other(protocol=wire.NAME, kind=kind, raw=wire.raw(part))]


def signed_thoughts(text: str, signature: str) -> list[Part]:
    """Thoughts with their signature, whoever made it; () where there is neither."""
    opaque, signed_by = unseal(signature)
    if signed_by.endswith(REDACTED):
        return [RedactedReasoning(data=opaque, signed_by=signed_by.removesuffix(REDACTED))]
    if not text and not opaque:
        return []
    return [Reasoning(text=text, signature=opaque, signed_by=signed_by)]


def _call(part: wire.Object, at: str, calls: Calls) -> Part:
    at += "functionCall."
    call = wire.spelled(fields.required(fields.table(part, "functionCall", within=at), at))
    name = fields.required(fields.text(call, "name", within=at), at + "name")
    arguments = fields.get(call, "args")
    if arguments is not None and wire.first(arguments) != b"{":
        raise InvalidParameter(f"'{at}args' must be an object.", param=at + "args")
    return ToolCall(
        id=calls.add(fields.text(call, "id", within=at) or "", name),
        name=name,
        arguments="{}" if arguments is None else bytes(arguments).decode(),
    )


def _result(part: wire.Object, at: str, calls: Calls) -> Part:
    at += "functionResponse."
    told = wire.spelled(fields.required(fields.table(part, "functionResponse", within=at), at))
    name = fields.required(fields.text(told, "name", within=at), at + "name")
    parts, is_error = _answered(told, at)
    for position, raw in enumerate(fields.tables(told, "parts", within=at) or ()):
        where = f"{at}parts[{position}]."
        kind = wire.spelled(raw)
        if "inlineData" not in kind and "fileData" not in kind:
            raise InvalidParameter(f"'{where}' must be inlineData or fileData.", param=where)
        parts.append(_media(kind, where, calls))
    call_id = calls.answer(fields.text(told, "id", within=at) or "", name)
    return ToolResult(call_id=call_id, name=name, parts=tuple(parts), is_error=is_error)


def _answered(told: wire.Object, at: str) -> tuple[list[Part], bool]:
    """What a function said: under `output` or `error`, else the object itself.

    Source: https://ai.google.dev/api/caching#FunctionResponse
    """
    response = fields.table(told, "response", within=at)
    if not response:
        return [], False
    if response.keys() == {"error"}:
        return _said(response, "error", at), True
    for key in _TEXT_KEYS:
        if response.keys() == {key}:
            return _said(response, key, at), False
    return [Text(text=bytes(told["response"]).decode())], False


def _said(response: wire.Object, key: str, at: str) -> list[Part]:
    value = response[key]
    is_text = wire.first(value) == b'"'
    text = fields.text(response, key, within=at) if is_text else bytes(value).decode()
    return [Text(text=text)] if text else []


def _media(part: wire.Object, at: str, calls: Calls) -> Image | Audio | File:
    del calls
    for kind, key in (("inlineData", "data"), ("fileData", "fileUri")):
        if fields.get(part, kind) is None:
            continue
        at += kind + "."
        blob = wire.spelled(fields.table(part, kind, within=at) or {})
        place = fields.required(fields.text(blob, key, within=at), at + key)
        media_type = fields.text(blob, "mimeType", within=at) or ""
        name = fields.text(blob, "displayName", within=at) or ""
        source = Media(data=place) if kind == "inlineData" else Media(url=place)
        extras = {wire.NAME: {k: v for k, v in part.items() if k == "videoMetadata"}}
        return decode_media(source, media_type, filename=name, extras=extras)
    raise MissingParameter(f"'{at}inlineData' is required.", param=at + "inlineData")


_READERS = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _media,
    "fileData": _media,
}
