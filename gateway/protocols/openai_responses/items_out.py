"""Input items of a request, ours → wire.

Thoughts go back only where this protocol signed them: other vendors' mean nothing to it, and an
item that it did not keep and cannot read is refused. What an upstream of this protocol cannot be
told is refused where the user put it in front of the model, and dropped (and named) where it is
history or comfort.
"""

import hashlib
from collections.abc import Sequence

from ccapi.core.errors import UnsupportedParameter
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
    Refusal,
    Request,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.protocols.openai_responses import signatures, wire
from gateway.protocols.openai_responses.items_in import CUSTOM_CALL, CUSTOM_RESULT
from gateway.protocols.openai_responses.tools import custom_input
from gateway.protocols.openai_responses.wire import NAME, Wire
from gateway.protocols.shared.dropped import Dropped

CALL_ID_LENGTH_MAX = 64  # the API refuses longer ones


def encode_items(request: Request, messages: Sequence[Message], dropped: Dropped) -> list[object]:
    """`messages` are those of the request that are not told as `instructions`.

    Raises: UnsupportedParameter.
    """
    kept = request.extras.get(NAME, {})
    writer = _Writer(
        dropped,
        marks="prompt_cache_options" in kept,
        stored="store" in kept and bytes(kept["store"]) == b"true",
    )
    first = len(request.messages) - len(messages)
    for position, message in enumerate(messages, first):
        writer.add(message, f"messages[{position}]")
    return writer.items


class _Writer:
    def __init__(self, dropped: Dropped, *, marks: bool, stored: bool) -> None:
        self.items: list[object] = []
        self._dropped = dropped
        self._marks = marks  # whether cache marks are OpenAI's own, and go back as such
        self._stored = stored  # whether an item's id alone says which it is
        self._customs: set[str] = set()  # ids of calls of custom tools

    def add(self, message: Message, at: str) -> None:
        if message.role == "assistant":
            self._assistant(message, at)
            return
        kept = message.extras.get(NAME, {})
        rest: list[Part] = []
        has_result = False
        for part in message.parts:
            if isinstance(part, ToolResult):
                has_result = True
                self._result(part, kept if message.role == "tool" else {}, at)
            else:
                rest.append(part)
        if rest or not has_result:
            role = "user" if message.role == "tool" else message.role
            content = self._content(rest, at)
            self.items.append({"role": role, "content": content, **kept})

    def _assistant(self, message: Message, at: str) -> None:
        said = [part for part in message.parts if isinstance(part, Text | Refusal)]
        is_written = False
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    # All texts of one message are one item, where the first of them stands.
                    if not is_written:
                        is_written = True
                        self.items.append(self._said(said, message))
                case ToolCall():
                    self.items.append(self._call(part))
                case Reasoning():
                    self._thoughts(part)
                case Other() if part.protocol == NAME:
                    self.items.append(part.raw)
                case ToolResult():
                    self._result(part, {}, at)
                case _:
                    self._drop(part)
        if not message.parts:
            self.items.append(self._said([], message))

    def _drop(self, part: Part) -> None:
        """History that means nothing to this upstream: what the model thought or ran elsewhere."""
        match part:
            case RedactedReasoning():
                self._dropped.add("messages.reasoning")
            case Other():
                self._dropped.add(f"messages.{part.kind}")
            case _:
                self._dropped.add(f"messages.{part.__struct_config__.tag}")

    def _said(self, parts: Sequence[Text | Refusal], message: Message) -> Wire:
        kept = message.extras.get(NAME, {})
        only = parts[0] if len(parts) == 1 else None
        if isinstance(only, Text) and not only.citations and "id" not in kept:
            return {"role": "assistant", "content": only.text, **kept}
        content: list[Wire] = []
        for part in parts:
            if isinstance(part, Refusal):
                content.append({"type": "refusal", "refusal": part.text})
            else:
                notes = list(part.citations) if part.citations_of == NAME else []
                content.append({"type": "output_text", "text": part.text, "annotations": notes})
        written: Wire = {"type": "message", "role": "assistant", "content": content}
        if not content:
            return {"role": "assistant", "content": "", **kept}
        if "id" not in kept:
            # The API's own types ask for both in an answer's message.
            written |= {"id": f"msg_{len(self.items)}", "status": "completed"}
        return written | kept

    def _call(self, call: ToolCall) -> Wire:
        kept = call.extras.get(NAME, {})
        written: Wire = {"type": "function_call", "call_id": call_id(call.id), "name": call.name}
        if "type" in kept:
            self._customs.add(call.id)
            told = custom_input(call.arguments)
            return {**written, "input": told, **kept, "type": CUSTOM_CALL}
        return {**written, "arguments": call.arguments, **kept}

    def _thoughts(self, part: Reasoning) -> None:
        if part.signed_by != NAME:
            self._dropped.add("messages.reasoning")
            return
        told = signatures.own(part.signature)
        if not (told.encrypted or told.is_text or self._stored):
            # Without its content, an item is known to nobody but a provider that stored it.
            self._dropped.add("messages.reasoning")
            return
        self.items.append(encode_thoughts(part.text, told))

    def _result(self, result: ToolResult, kept: wire.Object, at: str) -> None:
        custom = "type" in kept or result.call_id in self._customs
        output = self._content(list(result.parts), at)
        if result.is_error:
            output = _as_error(output)
        self.items.append(
            {
                "type": CUSTOM_RESULT if custom else "function_call_output",
                "call_id": call_id(result.call_id),
                "output": output,
                **{name: raw for name, raw in kept.items() if name != "type"},
            }
        )

    def _content(self, parts: Sequence[Part], at: str) -> object:
        """A string where one bare text is all there is: every vendor takes that."""
        if not parts:
            return ""
        encoded = [self._part(part, at) for part in parts]
        if len(encoded) == 1 and encoded[0].keys() == {"type", "text"}:
            return encoded[0]["text"]
        return encoded

    def _part(self, part: Part, at: str) -> Wire:
        """Something put in front of the model: all of it must arrive."""
        match part:
            case Text():
                return self._marked({"type": "input_text", "text": part.text}, part)
            case Image():
                return self._marked(_image(part), part)
            case File():
                return self._marked(_file(part), part)
            case Audio():
                return _audio(part, at)
            case Refusal():
                return {"type": "input_text", "text": part.text}
            case Other() if part.protocol == NAME:
                return dict(wire.decode_object(part.raw))
            case Other():
                kind = part.kind
            case _:
                kind = str(part.__struct_config__.tag)
        raise UnsupportedParameter(
            f"A content part {kind!r} cannot be sent to this model.", param=f"{at}.content"
        )

    def _marked(self, encoded: Wire, part: Text | Image | File) -> Wire:
        if part.cache is not None:
            if self._marks:
                mark = {"mode": "explicit"}
                if part.cache.ttl:
                    mark["ttl"] = part.cache.ttl
                encoded["prompt_cache_breakpoint"] = mark
            else:
                self._dropped.add("cache_control")
        return encoded


def encode_thoughts(text: str, told: signatures.Own) -> Wire:
    """A reasoning item as the API made it."""
    item: Wire = {"type": "reasoning", "id": told.id, "summary": []}
    if told.is_text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    elif text:
        item["summary"] = [{"type": "summary_text", "text": text}]
    if told.encrypted:
        item["encrypted_content"] = told.encrypted
    return item


def call_id(told: str) -> str:
    """The id, or a short one that stands for it everywhere in the request."""
    if len(told) <= CALL_ID_LENGTH_MAX:
        return told
    return "call_" + hashlib.sha256(told.encode()).hexdigest()[:40]


def _as_error(output: object) -> object:
    """This protocol has no flag for a failed tool: the text says it, unless it does already."""
    if isinstance(output, str):
        if output.lstrip().lower().startswith("error"):
            return output
        return f"Error: {output}" if output else "Error."
    parts = list(output) if isinstance(output, list) else []
    return [{"type": "input_text", "text": "Error:"}, *parts]


def _image(part: Image) -> Wire:
    image: Wire = {"type": "input_image", "detail": part.detail or "auto"}
    source = part.source
    if source.file_id:
        image["file_id"] = source.file_id
    else:
        image["image_url"] = _url(source, "image/png")
    return image


def _url(source: Media, default_type: str) -> str:
    return source.url or f"data:{source.media_type or default_type};base64,{source.data}"


def _file(part: File) -> Wire:
    if part.text:
        title = f"{part.filename}:\n\n" if part.filename else ""
        return {"type": "input_text", "text": title + part.text}
    source = part.source
    file: Wire = {"type": "input_file"}
    if part.filename:
        file["filename"] = part.filename
    if source.file_id:
        file["file_id"] = source.file_id
    elif source.url:
        file["file_url"] = source.url
        file.pop("filename", None)  # the API takes no name beside a URL
    elif source.media_type:
        file["file_data"] = f"data:{source.media_type};base64,{source.data}"
        file.setdefault("filename", "document.pdf" if "pdf" in source.media_type else "document")
    else:
        file["file_data"] = source.data
    return file | part.extras.get(NAME, {})


def _audio(part: Audio, at: str) -> Wire:
    if not part.source.data:
        raise UnsupportedParameter(
            "Audio must be sent to this model as base64 data.", param=f"{at}.content"
        )
    is_mp3 = part.source.media_type in ("audio/mpeg", "audio/mp3")
    form = part.format or ("mp3" if is_mp3 else "wav")
    return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": form}}
