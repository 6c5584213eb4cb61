"""Messages of a request, ours → wire.

Tool results become messages of role `tool`, right behind the calls they answer, wherever our
message had them; OpenAI takes text alone there, so images and files of results follow in one user
message. Thoughts go back only unsigned or signed by this protocol. What an upstream of this
protocol cannot be told is refused where the user put it in front of the model, and dropped (and
named) where it is history or comfort.
"""

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
from gateway.protocols.openai_chat import wire
from gateway.protocols.openai_chat.messages_in import NAME
from gateway.protocols.shared.dropped import Dropped

Wire = dict[str, object]

_MOVED = "(The content of this result follows in the next user message.)"


def encode_messages(request: Request, dropped: Dropped) -> list[Wire]:
    """Raises: UnsupportedParameter."""
    marks = "prompt_cache_options" in request.extras.get(NAME, {})
    encoder = _Encoder(dropped, marks=marks)
    for position, message in enumerate(request.messages):
        encoder.add(message, f"messages[{position}]")
    return encoder.finish()


class _Encoder:
    def __init__(self, dropped: Dropped, *, marks: bool) -> None:
        self.messages: list[Wire] = []
        self.dropped = dropped
        self.marks = marks  # whether cache marks are OpenAI's own, and go back as such
        self.moved: list[Wire] = []  # parts of tool results that wait for their user message

    def add(self, message: Message, at: str) -> None:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            self._add_result(result, message, at)
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role == "tool" and not rest:
            return
        if results and not rest:
            return
        self._flush_moved()
        if message.role == "assistant":
            encoded = self._assistant(message, rest)
        else:
            role = "user" if message.role == "tool" else message.role
            encoded = {"role": role, "content": self._content(rest, at)}
            if message.name:
                encoded["name"] = message.name
            encoded.update(message.extras.get(NAME, {}))
        self.messages.append(encoded)

    def finish(self) -> list[Wire]:
        self._flush_moved()
        return self.messages

    def _flush_moved(self) -> None:
        if self.moved:
            self.messages.append({"role": "user", "content": self.moved})
            self.moved = []

    def _add_result(self, result: ToolResult, message: Message, at: str) -> None:
        texts: list[Wire] = []
        moved: list[Wire] = []
        for part in result.parts:
            if isinstance(part, Text):
                texts.append(self._text(part))
            else:
                moved.append(self._user_part(part, at))
        if moved:
            label = f"Content of the result of tool call {result.call_id}:"
            self.moved += [{"type": "text", "text": label}, *moved]
            if not texts:
                texts.append({"type": "text", "text": _MOVED})
        if result.is_error:
            _mark_error(texts)
        encoded: Wire = {
            "role": "tool",
            "tool_call_id": result.call_id,
            "content": _shortest(texts),
        }
        if message.role == "tool":
            if message.name:
                encoded["name"] = message.name
            encoded.update(message.extras.get(NAME, {}))
        self.messages.append(encoded)

    def _content(self, parts: Sequence[Part], at: str) -> object:
        return _shortest([self._user_part(part, at) for part in parts])

    def _user_part(self, part: Part, at: str) -> Wire:
        """Something put in front of the model: all of it must arrive."""
        match part:
            case Text():
                return self._text(part)
            case Image():
                return self._marked(_image(part, at), part)
            case Audio():
                return _audio(part, at)
            case File():
                return self._marked(_file(part, at), part)
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case Other() if part.protocol == NAME:
                return dict(wire.decode_object(part.raw))
            case Other():
                kind = part.kind
            case _:
                kind = str(part.__struct_config__.tag)
        raise UnsupportedParameter(
            f"A content part {kind!r} cannot be sent to this model.", param=f"{at}.content"
        )

    def _text(self, part: Text) -> Wire:
        return self._marked({"type": "text", "text": part.text}, part)

    def _marked(self, encoded: Wire, part: Text | Image | File) -> Wire:
        if part.cache is not None:
            if self.marks:
                mark = {"mode": "explicit"}
                if part.cache.ttl:
                    mark["ttl"] = part.cache.ttl
                encoded["prompt_cache_breakpoint"] = mark
            else:
                self.dropped.add("cache_control")
        return encoded

    def _assistant(self, message: Message, parts: Sequence[Part]) -> Wire:
        content: list[Wire] = []
        calls: list[object] = []
        encoded: Wire = {"role": "assistant"}
        for part in parts:
            match part:
                case Text() | Refusal():
                    content.append(self._said(part))
                case ToolCall():
                    function = {"name": part.name, "arguments": part.arguments}
                    calls.append({"id": part.id, "type": "function", "function": function})
                case Reasoning() if part.signed_by in ("", NAME):
                    pass  # below, in one
                case Audio() if part.source.file_id:
                    encoded["audio"] = {"id": part.source.file_id}
                case Other() if part.protocol == NAME and part.kind == "tool_call":
                    calls.append(part.raw)
                case Other() if part.protocol == NAME:
                    content.append(dict(wire.decode_object(part.raw)))
                case _:
                    self._drop(part)
        if content or not (calls or "audio" in encoded):
            encoded["content"] = _shortest(content)
        return self._finished(message, parts, encoded, calls)

    @staticmethod
    def _finished(
        message: Message, parts: Sequence[Part], encoded: Wire, calls: list[object]
    ) -> Wire:
        if message.name:
            encoded["name"] = message.name
        kept = message.extras.get(NAME, {})
        thoughts = _thoughts(parts)
        # `reasoning` in the extras is what the client wrote of the same thoughts.
        if thoughts and "reasoning" not in kept:
            encoded["reasoning_content"] = thoughts
        if calls:
            encoded["tool_calls"] = calls
        encoded.update(kept)
        return encoded

    def _said(self, part: Text | Refusal) -> Wire:
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        return self._text(part)

    def _drop(self, part: Part) -> None:
        """History that means nothing to this upstream: what the model thought or ran elsewhere."""
        match part:
            case Reasoning() | RedactedReasoning():
                self.dropped.add("messages.reasoning")
            case Other():
                self.dropped.add(f"messages.{part.kind}")
            case _:
                self.dropped.add(f"messages.{part.__struct_config__.tag}")


def _thoughts(parts: Sequence[Part]) -> str:
    """What this protocol may be told of earlier thoughts: never what another one signed."""
    return "".join(
        part.text for part in parts if isinstance(part, Reasoning) and part.signed_by in ("", NAME)
    )


def _shortest(parts: list[Wire]) -> object:
    """A string where one bare text is all there is: every vendor takes that."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return parts


def _mark_error(texts: list[Wire]) -> None:
    """OpenAI has no flag for a failed tool: the text says it, unless it does already."""
    said = str(texts[0]["text"]) if texts else ""
    if said.lstrip().lower().startswith("error"):
        return
    if texts:
        texts[0]["text"] = f"Error: {said}"
    else:
        texts.append({"type": "text", "text": "Error."})


def _image(part: Image, at: str) -> Wire:
    image: Wire = {"url": _url(part.source, "image/png", at)}
    if part.detail:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _url(source: Media, default_type: str, at: str) -> str:
    if source.file_id:
        raise UnsupportedParameter(
            "A file kept at another vendor cannot be sent to this model: send its bytes or a URL.",
            param=f"{at}.content",
        )
    if source.url:
        return source.url
    return f"data:{source.media_type or default_type};base64,{source.data}"


def _audio(part: Audio, at: str) -> Wire:
    if not part.source.data:
        raise UnsupportedParameter(
            "Audio must be sent to this model as base64 data.", param=f"{at}.content"
        )
    form = part.format or (
        "mp3" if part.source.media_type in ("audio/mpeg", "audio/mp3") else "wav"
    )
    return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": form}}


def _file(part: File, at: str) -> Wire:
    source = part.source
    kept = part.extras.get(NAME, {})
    if part.text:
        title = f"{part.filename}:\n\n" if part.filename else ""
        return {"type": "text", "text": title + part.text}
    file: Wire = {}
    if part.filename:
        file["filename"] = part.filename
    if "file_data" in kept:
        file["file_data"] = kept["file_data"]
    elif source.file_id:
        file["file_id"] = source.file_id
    elif source.url:
        raise UnsupportedParameter(
            "This model takes files as bytes, not by URL.", param=f"{at}.content"
        )
    elif source.media_type:
        file["file_data"] = f"data:{source.media_type};base64,{source.data}"
        file.setdefault("filename", "document.pdf" if "pdf" in source.media_type else "document")
    else:
        file["file_data"] = source.data
    return {"type": "file", "file": file}
