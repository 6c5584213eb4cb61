"""Input items of a request, wire → ours.

What the model did in one turn (thoughts, a text, calls) comes as items behind each other and
becomes one message, a second text begins another. Fields and items that we do not know stay raw, so
that they pass on to an upstream of this protocol. A tool's result learns the name of its call from
the history.
"""

from collections.abc import Sequence

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
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
from gateway.protocols.openai_responses import signatures, wire
from gateway.protocols.openai_responses.namespaces import NAMESPACE, joined
from gateway.protocols.openai_responses.tools import ADDED
from gateway.protocols.openai_responses.wire import NAME
from gateway.protocols.shared import fields
from gateway.protocols.shared.openai_fields import AUDIO_TYPES, media

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
}
CUSTOM_CALL = "custom_tool_call"
CUSTOM_RESULT = "custom_tool_call_output"
REFERENCE = "item_reference"

_KNOWN_MESSAGE = frozenset({"type", "role", "content"})
_KNOWN_CALL = frozenset({"type", "call_id", "name", "arguments"})
_KNOWN_CUSTOM = frozenset({"call_id", "name", "input"})
_KNOWN_RESULT = frozenset({"type", "call_id", "output"})
_KNOWN_CUSTOM_RESULT = frozenset({"call_id", "output"})


def decode_items(items: Sequence[wire.Object]) -> tuple[Message, ...]:
    """Raises: MissingParameter, InvalidParameter, with the path of the field at fault."""
    reader = _Reader()
    for position, item in enumerate(items):
        reader.add(item, f"input[{position}].")
    return reader.finish()


def not_kept(param: str) -> UnsupportedParameter:
    """The refusal of an id of something that a provider keeps for whoever calls it."""
    return UnsupportedParameter(
        f"'{param}': answers, conversations, prompts and items are not kept here, so none can be"
        " referred to. Send the conversation itself in 'input'.",
        param=param,
    )


class _Reader:
    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._names: dict[str, str] = {}  # of the calls so far, by id
        # The assistant's turn that is being read.
        self._parts: list[Part] = []
        self._extras: Extras = {}
        self._has_text = False
        self._calls = 0

    def add(self, item: wire.Object, at: str) -> None:
        kind = fields.text(item, "type", within=at) or ("message" if "role" in item else REFERENCE)
        match kind:
            case "message":
                self._message(item, at)
            case "function_call":
                self._call(item, at)
            case "custom_tool_call":
                self._custom_call(item, at)
            case "function_call_output" | "custom_tool_call_output":
                self._result(item, at, custom=kind == CUSTOM_RESULT)
            case "reasoning":
                self._parts.append(_thoughts(item, at))
            case "item_reference":
                raise not_kept(at.removesuffix("."))
            case _ if kind == ADDED:
                pass  # read with the request's other tools
            case _:
                self._parts.append(Other(protocol=NAME, kind=kind, raw=wire.raw(item)))

    def finish(self) -> tuple[Message, ...]:
        self._end_turn()
        return tuple(self._messages)

    def _end_turn(self) -> None:
        if self._parts or self._has_text:
            parts = tuple(self._parts)
            self._messages.append(Message(role="assistant", parts=parts, extras=self._extras))
        self._parts, self._extras, self._has_text, self._calls = [], {}, False, 0

    def _message(self, item: wire.Object, at: str) -> None:
        word = fields.required(fields.text(item, "role", within=at), at + "role")
        role = ROLES.get(word)
        if role is None:
            known = ", ".join(ROLES)
            raise InvalidParameter(f"'{at}role' is {word!r}; known are {known}.", param=at + "role")
        fields.required(fields.get(item, "content"), at + "content")
        parts = decode_content(item, "content", at)
        extras = _extras(item, _KNOWN_MESSAGE)
        if role != "assistant":
            self._end_turn()
            self._messages.append(Message(role=role, parts=parts, extras=extras))
            return
        if self._has_text:
            self._end_turn()
        self._has_text = True
        self._parts += parts
        self._extras = extras

    def _call(self, item: wire.Object, at: str) -> None:
        call_id, name = self._called(item, at)
        arguments = fields.text(item, "arguments", within=at) or ""
        self._add_call(call_id, name, arguments, _called_extras(item, _KNOWN_CALL))

    def _custom_call(self, item: wire.Object, at: str) -> None:
        call_id, name = self._called(item, at)
        told = fields.required(fields.text(item, "input", within=at), at + "input")
        arguments = wire.encode({"input": told}).decode()
        # Its `type` among the extras tells it from a function's call.
        self._add_call(call_id, name, arguments, _called_extras(item, _KNOWN_CUSTOM))

    def _called(self, item: wire.Object, at: str) -> tuple[str, str]:
        call_id = fields.required(fields.text(item, "call_id", within=at), at + "call_id")
        name = fields.required(fields.text(item, "name", within=at), at + "name")
        name = joined(fields.text(item, NAMESPACE, within=at) or "", name)
        self._names[call_id] = name
        return call_id, name

    def _add_call(self, call_id: str, name: str, arguments: str, extras: Extras) -> None:
        index = self._calls
        self._calls += 1
        self._parts.append(
            ToolCall(id=call_id, name=name, arguments=arguments, index=index, extras=extras)
        )

    def _result(self, item: wire.Object, at: str, *, custom: bool) -> None:
        self._end_turn()
        call_id = fields.required(fields.text(item, "call_id", within=at), at + "call_id")
        fields.required(fields.get(item, "output"), at + "output")
        result = ToolResult(
            call_id=call_id,
            name=self._names.get(call_id, ""),
            parts=decode_content(item, "output", at),
        )
        known = _KNOWN_CUSTOM_RESULT if custom else _KNOWN_RESULT
        self._messages.append(Message(role="tool", parts=(result,), extras=_extras(item, known)))


def _extras(item: wire.Object, known: frozenset[str]) -> Extras:
    kept = {name: raw for name, raw in item.items() if name not in known and wire.is_set(raw)}
    return {NAME: kept} if kept else {}


def _called_extras(item: wire.Object, known: frozenset[str]) -> Extras:
    """With a namespace, both names as they came."""
    has_namespace = NAMESPACE in item and wire.is_set(item[NAMESPACE])
    return _extras(item, known - {"name"} if has_namespace else known)


def _thoughts(item: wire.Object, at: str) -> Reasoning | RedactedReasoning:
    return signatures.thoughts(
        item_id=fields.text(item, "id", within=at) or "",
        encrypted=fields.text(item, "encrypted_content", within=at) or "",
        summary=_texts(item, "summary", at),
        content=_texts(item, "content", at),
    )


def _texts(item: wire.Object, name: str, at: str) -> str:
    told = fields.tables(item, name, within=at) or []
    return "\n\n".join(fields.text(part, "text", within=f"{at}{name}.") or "" for part in told)


def decode_content(item: wire.Object, name: str, at: str) -> tuple[Part, ...]:
    """A text, or an array of content parts."""
    content = fields.get(item, name)
    if content is None:
        return ()
    if wire.first(content) == b"[":
        parts = fields.tables(item, name, within=at) or []
        return tuple(_part(part, f"{at}{name}[{position}].") for position, part in enumerate(parts))
    text = fields.text(item, name, within=at)
    return (Text(text=text),) if text else ()


def _part(part: wire.Object, at: str) -> Part:
    """One content part. Raises: MissingParameter, InvalidParameter."""
    kind = fields.required(fields.text(part, "type", within=at), at + "type")
    match kind:
        case "input_text" | "output_text" | "text":
            text = fields.required(fields.text(part, "text", within=at), at + "text")
            notes = fields.tables(part, "annotations", within=at) or []
            return Text(
                text=text,
                cache=_cache(part, at),
                citations=tuple(wire.raw(note) for note in notes),
                citations_of=NAME if notes else "",
            )
        case "input_image":
            return _image(part, at)
        case "input_file":
            return _file(part, at)
        case "input_audio":
            return _audio(part, at)
        case "refusal":
            refusal = fields.required(fields.text(part, "refusal", within=at), at + "refusal")
            return Refusal(text=refusal)
        case _:
            return Other(protocol=NAME, kind=kind, raw=wire.raw(part))


def _cache(part: wire.Object, at: str) -> CacheMark | None:
    mark = fields.table(part, "prompt_cache_breakpoint", within=at)
    if mark is None:
        return None
    return CacheMark(ttl=fields.text(mark, "ttl", within=at + "prompt_cache_breakpoint.") or "")


def _image(part: wire.Object, at: str) -> Image:
    file_id = fields.text(part, "file_id", within=at)
    url = fields.text(part, "image_url", within=at)
    if url is None:
        source = Media(file_id=fields.required(file_id, at + "image_url"))
    else:
        source = media(url)
    detail = fields.text(part, "detail", within=at) or ""
    return Image(source=source, detail=detail, cache=_cache(part, at))


def _file(part: wire.Object, at: str) -> File:
    filename = fields.text(part, "filename", within=at) or ""
    cache = _cache(part, at)
    data = fields.text(part, "file_data", within=at)
    url = fields.text(part, "file_url", within=at)
    if data is not None:
        source = media(data)
        # Plain base64, without the head of a data URL.
        source = Media(data=data) if source.url else source
    elif url is not None:
        source = Media(url=url)
    else:
        source = Media(
            file_id=fields.required(fields.text(part, "file_id", within=at), at + "file_data")
        )
    detail = fields.get(part, "detail")
    extras: Extras = {} if detail is None else {NAME: {"detail": detail}}
    return File(source=source, filename=filename, cache=cache, extras=extras)


def _audio(part: wire.Object, at: str) -> Audio:
    where = at + "input_audio"
    audio = fields.required(fields.table(part, "input_audio", within=at), where)
    data = fields.required(fields.text(audio, "data", within=where + "."), where + ".data")
    form = fields.text(audio, "format", within=where + ".") or ""
    return Audio(source=Media(data=data, media_type=AUDIO_TYPES.get(form, "")), format=form)
