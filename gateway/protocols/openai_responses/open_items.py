"""Output items that grow while a stream is written: a message, a thought, a call."""

from typing import Protocol

import msgspec

from gateway.protocols.openai_responses import items, signatures, wire
from gateway.protocols.openai_responses.tools import custom_input
from gateway.protocols.openai_responses.wire import Wire


class Stream(Protocol):
    """What an item writes with."""

    def added(self, index: int, item: Wire | wire.Raw) -> None: ...

    def done(self, index: int, item: Wire | wire.Raw) -> None: ...

    def tell(self, name: str, fields: Wire) -> None: ...

    def delta(self, head: bytes, text: str, tail: bytes) -> None: ...


def _head(name: str, place: Wire) -> bytes:
    """A delta's frame up to its text."""
    data = wire.encode({"type": f"response.{name}", **place})
    return b"event: response." + name.encode() + b"\ndata: " + data[:-1] + b',"delta":'


class Message:
    """Texts and refusals: parts, the last of which grows."""

    def __init__(self, item_id: str, index: int, text_start: int) -> None:
        self.index = index
        self.kind = ""  # of the part that grows
        self.text_start = text_start  # of that part in the whole answer
        self._id = item_id
        self._content: list[Wire] = []
        self._pieces: list[str] = []
        self._notes: list[wire.Raw] = []
        self._tokens: list[wire.Raw] = []
        self._head = b""

    def open(self, stream: Stream) -> None:
        stream.added(self.index, items.message(self._id, [], "in_progress"))

    def turn_to(self, stream: Stream, kind: str) -> None:
        """Begin a part of this kind, unless it is the one that grows."""
        if self.kind == kind:
            return
        self._end_part(stream)
        self.kind = kind
        name = "output_text.delta" if kind == "output_text" else "refusal.delta"
        self._head = _head(name, self._place())
        stream.tell("content_part.added", {**self._place(), "part": self._part()})

    def add(self, stream: Stream, text: str, tokens: list[wire.Raw] | None = None) -> None:
        self._pieces.append(text)
        tail = b""
        if self.kind == "output_text":
            tail = b',"logprobs":[]'
            if tokens:
                self._tokens += tokens
                tail = b',"logprobs":' + bytes(wire.one_line(wire.raw(tokens)))
        stream.delta(self._head, text, tail)

    def cite(self, stream: Stream, note: wire.Raw) -> None:
        told = {"annotation_index": len(self._notes), "annotation": note}
        self._notes.append(note)
        stream.tell("output_text.annotation.added", {**self._place(), **told})

    def close(self, stream: Stream) -> None:
        self._end_part(stream)
        stream.done(self.index, items.message(self._id, self._content))

    def _place(self) -> Wire:
        part = len(self._content)
        return {"item_id": self._id, "output_index": self.index, "content_index": part}

    def _part(self) -> Wire:
        text = "".join(self._pieces)
        if self.kind == "refusal":
            return items.refusal_part(text)
        return items.text_part(text, list(self._notes), list(self._tokens))

    def _end_part(self, stream: Stream) -> None:
        if not self.kind:
            return
        part, place = self._part(), self._place()
        if self.kind == "refusal":
            stream.tell("refusal.done", {**place, "refusal": part["refusal"]})
        else:
            told = {"text": part["text"], "logprobs": part["logprobs"]}
            stream.tell("output_text.done", {**place, **told})
        stream.tell("content_part.done", {**place, "part": part})
        self._content.append(part)
        self.text_start += len("".join(self._pieces))
        self._pieces, self._notes, self._tokens = [], [], []
        self.kind = ""


class Thought:
    """A thought, told as a summary of one part, and its signature under our seal."""

    def __init__(self, item_id: str, index: int) -> None:
        self.index = index
        self.is_signed = False
        self._id = item_id
        self._pieces: list[str] = []
        self._signature = ""
        self._signed_by = ""
        self._place: Wire = {"item_id": item_id, "output_index": index, "summary_index": 0}
        self._head = b""

    def open(self, stream: Stream) -> None:
        stream.added(self.index, items.reasoning(self._id, "", ""))

    def add(self, stream: Stream, text: str) -> None:
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            stream.tell("reasoning_summary_part.added", {**self._place, "part": part})
            self._head = _head("reasoning_summary_text.delta", self._place)
        self._pieces.append(text)
        stream.delta(self._head, text, b"")

    def sign(self, signature: str, signed_by: str) -> None:
        self.is_signed = True
        self._signature += signature
        self._signed_by = signed_by

    def close(self, stream: Stream) -> None:
        text = "".join(self._pieces)
        if text:
            part = {"type": "summary_text", "text": text}
            stream.tell("reasoning_summary_text.done", {**self._place, "text": text})
            stream.tell("reasoning_summary_part.done", {**self._place, "part": part})
        sealed = signatures.seal(self._signature, self._signed_by)
        stream.done(self.index, items.reasoning(self._id, text, sealed))


class Call:
    """A call: of a function, or of a custom tool, whose free text is told when it is whole."""

    def __init__(self, item_id: str, index: int, named: Wire, *, custom: bool) -> None:
        self.index = index
        self.is_done = False
        self._id = item_id
        self._named = named  # its id, its name, and its namespace, if any
        self._custom = custom
        self._pieces: list[str] = []
        self._place: Wire = {"item_id": item_id, "output_index": index}
        self._head = b""

    def open(self, stream: Stream) -> None:
        stream.added(self.index, self._item("", "in_progress"))
        self._head = _head("function_call_arguments.delta", self._place)

    def add(self, stream: Stream, arguments: str) -> None:
        if self.is_done or not arguments:
            return  # white space, say, after a complete JSON object
        self._pieces.append(arguments)
        if not self._custom:
            stream.delta(self._head, arguments, b"")

    def is_complete(self) -> bool:
        try:
            wire.decode_object("".join(self._pieces).encode())
        except msgspec.DecodeError:
            return False
        return True

    def close(self, stream: Stream) -> None:
        self.is_done = True
        arguments = "".join(self._pieces)
        if self._custom:
            told = custom_input(arguments)
            head = _head("custom_tool_call_input.delta", self._place)
            if told:
                stream.delta(head, told, b"")
            stream.tell("custom_tool_call_input.done", {**self._place, "input": told})
            stream.done(self.index, self._item(told, "completed"))
            return
        stream.tell(
            "function_call_arguments.done",
            {**self._place, "name": self._named["name"], "arguments": arguments},
        )
        stream.done(self.index, self._item(arguments, "completed"))

    def _item(self, told: str, status: str) -> Wire:
        make = items.custom_call if self._custom else items.function_call
        return make(self._id, self._named, told, status)
