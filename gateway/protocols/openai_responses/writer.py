"""Streams, events → a client's `response.*` events, as the official SDK and Codex take them.

`response.created` and `response.in_progress`, then output items with growing indices (added, their
parts and deltas, done), then, at the end, `response.completed` or `response.incomplete` with all
items, the usage and its costs. A text and a thought are done when anything else begins. Calls may
grow side by side, as other protocols write them: each is done when its arguments are complete and
another item begins, or nothing more can come.
"""

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import (
    AudioDelta,
    CitationDelta,
    Event,
    OtherBlock,
    ReasoningDelta,
    RedactedReasoningBlock,
    RefusalDelta,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from gateway.ir.response import Costs
from gateway.protocols.base import Told
from gateway.protocols.openai_responses import echo, items, signatures, wire
from gateway.protocols.openai_responses.errors import failure_frames
from gateway.protocols.openai_responses.namespaces import Names
from gateway.protocols.openai_responses.open_items import Call, Message, Thought
from gateway.protocols.openai_responses.stops import incomplete_reason
from gateway.protocols.openai_responses.tools import custom_names
from gateway.protocols.openai_responses.usage import encode_usage
from gateway.protocols.openai_responses.wire import NAME, Wire

CONTENT_TYPE = "text/event-stream; charset=utf-8"

_encode = wire.encode


class StreamEncoder:
    """See `gateway.protocols.base.StreamEncoder`."""

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._customs = custom_names(told.request)
        self._names = Names(told.request)
        self._id = items.answer_id("", told)
        self._ids = items.Ids(self._id)
        self._created = told.created
        self._started = False
        self._sequence = 0
        self._output: list[object] = []  # by output index; what is open stands there unfinished
        self._message: Message | None = None
        self._text_length = 0  # of the messages that are done, in characters
        self._thought: Thought | None = None
        self._calls: dict[int, Call] = {}  # by our index; those that are done too
        self._stopped: Stopped | None = None
        self._out: list[bytes] = []

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Started):
            self._start(event)
        elif getattr(event, "choice", 0) == 0:  # this protocol has one answer only
            self._content(event)
        out, self._out = b"".join(self._out), []
        return out

    def end(self, usage: Usage, costs: Costs) -> bytes:
        self._finish()
        stop = self._stopped.reason if self._stopped else None
        response = self._response() | echo.ended(stop)
        response["usage"] = encode_usage(usage, costs)
        name = "response.incomplete" if incomplete_reason(stop) else "response.completed"
        self._write(name, {"response": response})
        out, self._out = b"".join(self._out), []
        return out

    def fail(self, error: GatewayError) -> bytes:
        response = self._response()
        # What is open was never finished: only items that are done are told.
        unfinished = {part.index for part in self._open()}
        response["output"] = [
            item for index, item in enumerate(self._output) if index not in unfinished
        ]
        return failure_frames(error, response, self._sequence)

    def _open(self) -> list[Message | Thought | Call]:
        calls = [call for call in self._calls.values() if not call.is_done]
        return [part for part in (self._message, self._thought, *calls) if part is not None]

    def _write(self, name: str, fields: Wire) -> None:
        self._out.append(echo.frame(name, fields, self._sequence))
        self._sequence += 1

    def _response(self) -> Wire:
        response = echo.response_object(self._id, self._told, self._created)
        response["output"] = self._output
        return response

    def _start(self, event: Started) -> None:
        if self._started:
            return
        self._started = True
        if event.id:
            self._id = items.answer_id(event.id, self._told)
            self._ids = items.Ids(self._id)
        self._created = event.created or self._created
        response = self._response()
        self._write("response.created", {"response": response})
        self._write("response.in_progress", {"response": response})

    def _content(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._text(event)
            case RefusalDelta() if event.text:
                self._said("refusal").add(self, event.text)
            case AudioDelta() if event.transcript:
                self._said("output_text").add(self, event.transcript)
            case CitationDelta():
                self._cite(event)
            case ToolCallStarted():
                self._call(event)
            case ToolCallDelta():
                call = self._calls.get(event.index)
                if call is not None:
                    call.add(self, event.arguments)
            case OtherBlock() if event.protocol == NAME:
                self._whole(wire.one_line(event.raw))
            case Stopped():
                self._stopped = event
                self._finish()
            case _:
                self._thoughts(event)

    def _thoughts(self, event: Event) -> None:
        match event:
            case ReasoningDelta() if event.text:
                self._think().add(self, event.text)
            case SignatureDelta():
                self._think(signature=True).sign(event.signature, event.signed_by)
            case RedactedReasoningBlock():
                sealed = signatures.seal_redacted(event.data, event.signed_by)
                self._whole(items.reasoning(self._ids.next("rs"), "", sealed))
            case _:
                pass

    def _text(self, event: TextDelta) -> None:
        message = self._message
        if message is None or message.kind != "output_text":
            if not event.text:
                return
            message = self._said("output_text")
        message.add(self, event.text, items.tokens_of(event.logprobs))

    def _cite(self, event: CitationDelta) -> None:
        """Of this protocol as they came; of others where a text still stands open for them."""
        if event.protocol == NAME:
            self._said("output_text").cite(self, wire.one_line(event.raw))
            return
        message = self._message
        if message is None or message.kind != "output_text":
            return
        for cited in event.cited:
            if cited.url:
                message.cite(self, items.annotation(cited, message.text_start))

    def _said(self, kind: str) -> Message:
        """The message that is open, with a part of this kind at its end."""
        if self._message is None:
            self._close(message=False)
            self._message = Message(self._ids.next("msg"), self.place(), self._text_length)
            self._message.open(self)
        self._message.turn_to(self, kind)
        return self._message

    def _think(self, *, signature: bool = False) -> Thought:
        thought = self._thought
        if thought is not None and thought.is_signed and not signature:
            # The signature ended that thought.
            self._close()
            thought = None
        if thought is None:
            self._close()
            thought = self._thought = Thought(self._ids.next("rs"), self.place())
            thought.open(self)
        return thought

    def _call(self, event: ToolCallStarted) -> None:
        if event.index in self._calls:
            return
        self._close()
        custom = event.name in self._customs
        item_id = self._ids.next("ctc" if custom else "fc")
        named = self._names.known({"call_id": event.id, "name": event.name})
        call = Call(item_id, self.place(), named, custom=custom)
        self._calls[event.index] = call
        call.open(self)

    def _whole(self, item: Wire | wire.Raw) -> None:
        """An item that comes in one piece."""
        self._close()
        index = self.place()
        self.added(index, item)
        self.done(index, item)

    def _close(self, *, message: bool = True) -> None:
        """What is done as another item begins."""
        if not self._started:
            self._start(Started())
        if message and self._message is not None:
            self._message.close(self)
            self._text_length = self._message.text_start
            self._message = None
        if self._thought is not None:
            self._thought.close(self)
            self._thought = None
        for call in self._calls.values():
            if not call.is_done and call.is_complete():
                call.close(self)

    def _finish(self) -> None:
        """Nothing more can come for any item."""
        self._close()
        for call in self._calls.values():
            if not call.is_done:
                call.close(self)

    # What the open items write with.

    def place(self) -> int:
        """The index of a new item."""
        self._output.append(None)
        return len(self._output) - 1

    def added(self, index: int, item: Wire | wire.Raw) -> None:
        self._write("response.output_item.added", {"output_index": index, "item": item})

    def done(self, index: int, item: Wire | wire.Raw) -> None:
        self._output[index] = item
        self._write("response.output_item.done", {"output_index": index, "item": item})

    def tell(self, name: str, fields: Wire) -> None:
        self._write(f"response.{name}", fields)

    def delta(self, head: bytes, text: str, tail: bytes) -> None:
        """A delta, most of a stream: what does not change stands in `head` and `tail`."""
        self._out.append(
            b'%b%b%b,"sequence_number":%d}\n\n' % (head, _encode(text), tail, self._sequence)
        )
        self._sequence += 1
