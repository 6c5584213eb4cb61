"""Messages of a request, both ways.

Results of tools are matched to their calls by id where a client sends one, else by name and order:
two calls of one tool are answered in the order in which they were made. Ollama takes images as
bytes alone, and no files or audio: what it cannot be told is refused where the user put it in front
of the model, and dropped (and named) where it is history.
"""

import base64
import binascii
from collections.abc import Sequence

from ccapi.core.errors import InvalidParameter, UnsupportedParameter
from gateway.ir.request import (
    File,
    Image,
    Media,
    Message,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Request,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.ollama import wire
from gateway.protocols.ollama.wire import NAME
from gateway.protocols.shared import fields
from gateway.protocols.shared.results import in_order_of_calls

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_KNOWN = frozenset(
    ["role", "content", "images", "thinking", "thinking_signature", "tool_calls", "tool_name"]
) | {"tool_call_id", "name"}
_MAGIC = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "UklGR": "image/webp"}
_SEAL = "ccapi."

Wire = dict[str, object]


def seal(signature: str, signed_by: str) -> str:
    """What stands in `thinking_signature`."""
    return f"{_SEAL}{signed_by}.{signature}"


class _History:
    """Calls that wait for their result, (id, name), in order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, str]] = []
        self._count = 0

    def call(self, call_id: str, name: str) -> str:
        call_id = call_id or f"call_{self._count}"
        self._count += 1
        self.waiting.append((call_id, name))
        return call_id

    def answer(self, call_id: str, name: str) -> tuple[str, str]:
        """The call that a result belongs to: by its id, else the first of that name, or any."""
        for position, (waiting_id, called) in enumerate(self.waiting):
            if call_id == waiting_id or (not call_id and name in ("", called)):
                del self.waiting[position]
                return waiting_id, called
        return call_id or f"call_{name or 'unknown'}", name


def decode_messages(messages: Sequence[wire.Object]) -> tuple[Message, ...]:
    """Raises: MissingParameter, InvalidParameter, with the path of the field at fault."""
    history = _History()
    return tuple(
        _message(message, f"messages[{position}].", history)
        for position, message in enumerate(messages)
    )


def _message(message: wire.Object, at: str, history: _History) -> Message:
    word = fields.required(fields.text(message, "role", within=at), at + "role")
    role = _ROLES.get(word)
    if role is None:
        roles = ", ".join(_ROLES)
        raise InvalidParameter(f"'{at}role' is {word!r}; known are {roles}.", param=at + "role")
    text = fields.text(message, "content", within=at) or ""
    shown = decode_images(message, at)
    parts: list[Part] = []
    if role == "tool":
        name = fields.text(message, "tool_name", within=at)
        name = name or fields.text(message, "name", within=at) or ""
        call_id = fields.text(message, "tool_call_id", within=at) or ""
        call_id, name = history.answer(call_id, name)
        said = (Text(text=text),) if text else ()
        parts.append(ToolResult(call_id=call_id, name=name, parts=(*said, *shown)))
    else:
        parts += _thoughts(message, at)
        if text:
            parts.append(Text(text=text))
        parts += shown
        parts += _calls(message, at, history)
    extras = {name: value for name, value in message.items() if name not in _KNOWN}
    return Message(role=role, parts=tuple(parts), extras={NAME: extras} if extras else {})


def _thoughts(message: wire.Object, at: str) -> list[Part]:
    text = fields.text(message, "thinking", within=at) or ""
    sealed = fields.text(message, "thinking_signature", within=at) or ""
    if not sealed.startswith(_SEAL):
        return [Reasoning(text=text)] if text else []
    signed_by, _, signature = sealed.removeprefix(_SEAL).partition(".")
    return [Reasoning(text=text, signature=signature, signed_by=signed_by)]


def decode_images(message: wire.Object, at: str) -> list[Part]:
    """`images`: base64, or a `data:` URL."""
    images: list[Part] = []
    if fields.get(message, "images") is None:
        return images
    for data in fields.texts(message, "images") or ():
        head, mark, inside = data.partition(";base64,")
        if mark and head.startswith("data:"):
            source = Media(data=inside, media_type=head.removeprefix("data:"))
        elif data.startswith(("http://", "https://")):
            raise InvalidParameter(f"'{at}images' takes base64, not URLs.", param=at + "images")
        else:
            source = Media(data=data, media_type=_guess(data))
        images.append(Image(source=source))
    return images


def _guess(data: str) -> str:
    found = (kind for magic, kind in _MAGIC.items() if data.startswith(magic))
    return next(found, "image/png")


def _calls(message: wire.Object, at: str, history: _History) -> list[Part]:
    calls: list[Part] = []
    for position, call in enumerate(fields.tables(message, "tool_calls", within=at) or ()):
        where = f"{at}tool_calls[{position}]."
        function = fields.required(fields.table(call, "function", within=where), where + "function")
        where += "function."
        name = fields.required(fields.text(function, "name", within=where), where + "name")
        arguments = fields.get(function, "arguments")
        if arguments is not None and wire.first(arguments) == b'"':
            text = fields.text(function, "arguments", within=where) or "{}"
        else:
            text = bytes(arguments).decode() if arguments is not None else "{}"
        call_id = history.call(fields.text(call, "id", within=at) or "", name)
        calls.append(ToolCall(id=call_id, name=name, arguments=text, index=position))
    return calls


def encode_messages(request: Request, dropped: dict[str, None]) -> list[Wire]:
    """Raises: UnsupportedParameter."""
    messages: list[Wire] = []
    for position, message in enumerate(in_order_of_calls(request.messages)):
        at = f"messages[{position}].content"
        if any(getattr(part, "cache", None) is not None for part in message.parts):
            dropped["cache_control"] = None
        shown: list[str] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                messages.append(_result(part, at, shown))
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if shown:
            messages.append({"role": "user", "content": "", "images": shown})
        if not rest and message.parts:
            continue
        if message.role == "assistant":
            encoded = _assistant(rest, dropped)
        else:
            role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
            encoded = {"role": role, **_content(rest, at)}
        messages.append(encoded | message.extras.get(NAME, {}))
    return messages


def _content(parts: Sequence[Part], at: str) -> Wire:
    """What is put in front of the model: all of it must arrive."""
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Image():
                images.append(_image(part, at))
            case File():
                texts.append(_file(part, at))
            case _:
                kind = part.kind if isinstance(part, Other) else part.__struct_config__.tag
                raise UnsupportedParameter(
                    f"A content part {kind!r} cannot be sent to this model.", param=at
                )
    content: Wire = {"content": "\n\n".join(texts)}
    if images:
        content["images"] = images
    return content


def _image(part: Image, at: str) -> str:
    source = part.source
    head, mark, inside = source.url.partition(";base64,")
    if mark and head.startswith("data:"):
        return inside
    if not source.data:
        raise UnsupportedParameter(
            "This model takes images as bytes (base64), not by URL or file id.", param=at
        )
    return source.data


def _file(part: File, at: str) -> str:
    text = part.text
    readable = part.source.media_type.startswith("text/")
    if not text and part.source.data and readable:
        try:
            text = base64.b64decode(part.source.data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnsupportedParameter("The file is no text in base64.", param=at) from error
    if not text:
        raise UnsupportedParameter("This model takes text files and images only.", param=at)
    return f"{part.filename}:\n\n{text}" if part.filename else text


def _result(result: ToolResult, at: str, shown: list[str]) -> Wire:
    texts = [part for part in result.parts if not isinstance(part, Image)]
    shown += [_image(part, at) for part in result.parts if isinstance(part, Image)]
    text = str(_content(texts, at)["content"])
    if result.is_error and not text.lstrip().lower().startswith("error"):
        text = f"Error: {text}"  # the protocol has no flag for it
    return {
        "role": "tool",
        "content": text or ("(See the image that follows.)" if shown else ""),
        "tool_name": result.name,
        "tool_call_id": result.call_id,
    }


def _assistant(parts: Sequence[Part], dropped: dict[str, None]) -> Wire:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Wire] = []
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Reasoning() if part.signed_by in ("", NAME):
                thoughts.append(part.text)
            case Reasoning() | RedactedReasoning():
                dropped["messages.reasoning"] = None
            case ToolCall():
                function = {"name": part.name, "arguments": _arguments(part.arguments)}
                calls.append({"id": part.id, "function": function})
            case Other():
                dropped[f"messages.{part.kind}"] = None
            case _:
                dropped[f"messages.{part.__struct_config__.tag}"] = None
    encoded: Wire = {"role": "assistant", "content": "\n\n".join(texts)}
    if thoughts:
        encoded["thinking"] = "".join(thoughts)
    if calls:
        encoded["tool_calls"] = calls
    return encoded


def _arguments(text: str) -> object:
    """The object that the text is; text that is none stands under one name."""
    try:
        wire.decode_object(text.encode() or b"{}")
    except (wire.DecodeError, RecursionError):
        return {"input": text}
    return wire.Raw((text or "{}").encode())
