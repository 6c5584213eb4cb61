"""Messages of a request, wire → ours.

Content parts that we do not know become `Other`, message fields that we do not know `extras`, so
that they pass on to an upstream of this protocol. A tool's result learns the name of its call from
the history.
"""

from collections.abc import Sequence

from ccapi.core.errors import InvalidParameter, MissingParameter
from gateway.ir.request import (
    Audio,
    CacheMark,
    Extras,
    File,
    Image,
    Media,
    Message,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.openai_chat import reasoning, wire
from gateway.protocols.shared import fields
from gateway.protocols.shared.openai_fields import AUDIO_TYPES, media

NAME = "openai"
ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}

_KNOWN = frozenset({"role", "content", "name"})
_KNOWN_ASSISTANT = _KNOWN | {
    "tool_calls",
    "function_call",
    "refusal",
    "reasoning_content",
    "audio",
}
_KNOWN_TOOL = frozenset({"role", "content", "name", "tool_call_id"})


class _History:
    """The calls so far: names by id, and the ids of legacy calls, which have none of their own."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.unanswered: list[tuple[str, str]] = []  # legacy calls, (id, name)

    def legacy_call(self, name: str) -> str:
        call_id = f"call_legacy_{len(self.names)}"
        self.unanswered.append((call_id, name))
        return call_id

    def legacy_answer(self, name: str) -> str:
        for position, (call_id, called) in enumerate(self.unanswered):
            if called == name:
                del self.unanswered[position]
                return call_id
        return ""


def decode_messages(messages: Sequence[wire.Object]) -> tuple[Message, ...]:
    """Raises: MissingParameter, InvalidParameter, with the path of the field at fault."""
    history = _History()
    return tuple(
        _message(message, f"messages[{position}].", history)
        for position, message in enumerate(messages)
    )


def _message(message: wire.Object, at: str, history: _History) -> Message:
    word = fields.required(fields.text(message, "role", within=at), at + "role")
    role = ROLES.get(word)
    if role is None:
        roles = ", ".join(ROLES)
        raise InvalidParameter(f"'{at}role' is {word!r}; known are {roles}.", param=at + "role")
    name = fields.text(message, "name", within=at) or ""
    if role == "assistant":
        parts = _assistant_parts(message, at, history)
        known = _KNOWN_ASSISTANT
    elif role == "tool":
        parts = (_tool_result(message, at, history, legacy=word == "function"),)
        known = _KNOWN_TOOL
    else:
        if fields.get(message, "content") is None:
            raise MissingParameter(f"'{at}content' is required.", param=at + "content")
        parts = _content(message, at)
        known = _KNOWN
    return Message(role=role, parts=parts, name=name, extras=_extras(message, known))


def _extras(message: wire.Object, known: frozenset[str]) -> Extras:
    if message.keys() <= known:
        return {}
    kept = {
        name: value for name, value in message.items() if name not in known and wire.is_set(value)
    }
    details = kept.get("reasoning_details")
    if details is not None and reasoning.decode_signed(details):
        rest = reasoning.without_signed(details)
        if rest is None:
            del kept["reasoning_details"]
        else:
            kept["reasoning_details"] = rest
    return {NAME: kept} if kept else {}


def _assistant_parts(message: wire.Object, at: str, history: _History) -> tuple[Part, ...]:
    parts: list[Part] = list(_thoughts(message, at))
    parts += _content(message, at)
    refusal = fields.text(message, "refusal", within=at)
    if refusal:
        parts.append(Refusal(text=refusal))
    audio = fields.table(message, "audio", within=at)
    if audio is not None:
        audio_id = fields.required(fields.text(audio, "id", within=at + "audio."), at + "audio.id")
        parts.append(Audio(source=Media(file_id=audio_id)))
    calls = fields.tables(message, "tool_calls", within=at) or []
    for position, call in enumerate(calls):
        parts.append(_tool_call(call, f"{at}tool_calls[{position}].", position, history))
    legacy = fields.table(message, "function_call", within=at)
    if legacy is not None and not calls:
        called, arguments = _function(legacy, at + "function_call.")
        call_id = history.legacy_call(called)
        history.names[call_id] = called
        parts.append(ToolCall(id=call_id, name=called, arguments=arguments))
    return tuple(parts)


def _thoughts(message: wire.Object, at: str) -> tuple[Reasoning | RedactedReasoning, ...]:
    """Earlier thoughts: signed ones of other protocols (see `reasoning`), else the plain text."""
    details = fields.get(message, "reasoning_details")
    if details is not None:
        signed = reasoning.decode_signed(details)
        if signed:
            return signed
    text = fields.text(message, "reasoning_content", within=at)
    if text is None:
        text = fields.text(message, "reasoning", within=at)
    return (Reasoning(text=text),) if text else ()


def _tool_call(call: wire.Object, at: str, position: int, history: _History) -> Part:
    kind = fields.text(call, "type", within=at) or "function"
    call_id = fields.required(fields.text(call, "id", within=at), at + "id")
    if kind != "function":
        return Other(protocol=NAME, kind="tool_call", raw=wire.raw(call))
    function = fields.required(fields.table(call, "function", within=at), at + "function")
    name, arguments = _function(function, at + "function.")
    history.names[call_id] = name
    return ToolCall(id=call_id, name=name, arguments=arguments, index=position)


def _function(function: wire.Object, at: str) -> tuple[str, str]:
    name = fields.required(fields.text(function, "name", within=at), at + "name")
    arguments = fields.get(function, "arguments")
    if arguments is None:
        return name, ""
    written = bytes(arguments)
    # Some clients put the object itself where its text belongs.
    if written.startswith(b"{"):
        return name, written.decode()
    return name, fields.text(function, "arguments", within=at) or ""


def _tool_result(message: wire.Object, at: str, history: _History, *, legacy: bool) -> ToolResult:
    if legacy:
        name = fields.required(fields.text(message, "name", within=at), at + "name")
        call_id = history.legacy_answer(name)
    else:
        call_id = fields.required(
            fields.text(message, "tool_call_id", within=at), at + "tool_call_id"
        )
        name = history.names.get(call_id) or fields.text(message, "name", within=at) or ""
    return ToolResult(call_id=call_id, name=name, parts=_content(message, at))


def _content(message: wire.Object, at: str) -> tuple[Part, ...]:
    content = fields.get(message, "content")
    if content is None:
        return ()
    if wire.first(content) == b"[":
        parts = fields.tables(message, "content", within=at) or []
        return tuple(
            decode_part(part, f"{at}content[{position}].") for position, part in enumerate(parts)
        )
    text = fields.text(message, "content", within=at)
    return (Text(text=text),) if text else ()


def decode_part(part: wire.Object, at: str) -> Part:
    """One content part. Raises: MissingParameter, InvalidParameter."""
    kind = fields.required(fields.text(part, "type", within=at), at + "type")
    match kind:
        case "text":
            text = fields.required(fields.text(part, "text", within=at), at + "text")
            return Text(text=text, cache=_cache(part, at))
        case "image_url":
            return _image(part, at)
        case "input_audio":
            return _audio(part, at)
        case "file":
            return _file(part, at)
        case "refusal":
            refusal = fields.required(fields.text(part, "refusal", within=at), at + "refusal")
            return Refusal(text=refusal)
        case _:
            return Other(protocol=NAME, kind=kind, raw=wire.raw(part))


def _cache(part: wire.Object, at: str) -> CacheMark | None:
    """OpenAI's `prompt_cache_breakpoint`, or `cache_control` as OpenRouter takes it."""
    for name in ("prompt_cache_breakpoint", "cache_control"):
        mark = fields.table(part, name, within=at)
        if mark is not None:
            return CacheMark(ttl=fields.text(mark, "ttl", within=f"{at}{name}.") or "")
    return None


def _image(part: wire.Object, at: str) -> Image:
    image = fields.required(fields.get(part, "image_url"), at + "image_url")
    if wire.first(image) == b'"':  # Mistral's short form
        url, detail = fields.text(part, "image_url", within=at), None
    else:
        table = fields.required(fields.table(part, "image_url", within=at), at + "image_url")
        url = fields.text(table, "url", within=at + "image_url.")
        detail = fields.text(table, "detail", within=at + "image_url.")
    source = media(fields.required(url, at + "image_url.url"))
    return Image(source=source, detail=detail or "", cache=_cache(part, at))


def _audio(part: wire.Object, at: str) -> Audio:
    where = at + "input_audio"
    audio = fields.required(fields.table(part, "input_audio", within=at), where)
    data = fields.required(fields.text(audio, "data", within=where + "."), where + ".data")
    form = fields.text(audio, "format", within=where + ".") or ""
    return Audio(source=Media(data=data, media_type=AUDIO_TYPES.get(form, "")), format=form)


def _file(part: wire.Object, at: str) -> File:
    where = at + "file"
    file = fields.required(fields.table(part, "file", within=at), where)
    filename = fields.text(file, "filename", within=where + ".") or ""
    file_id = fields.text(file, "file_id", within=where + ".")
    data = fields.text(file, "file_data", within=where + ".")
    cache = _cache(part, at)
    if data is None:
        source = Media(file_id=fields.required(file_id, where + ".file_data"))
        return File(source=source, filename=filename, cache=cache)
    source = media(data)
    if not source.url:
        return File(source=source, filename=filename, cache=cache)
    if data.startswith(("https://", "http://")):
        # OpenAI takes no URL here, OpenRouter does: what the client wrote goes back to this
        # protocol.
        extras = {NAME: {"file_data": wire.raw(data)}}
        return File(source=source, filename=filename, cache=cache, extras=extras)
    return File(source=Media(data=data), filename=filename, cache=cache)
