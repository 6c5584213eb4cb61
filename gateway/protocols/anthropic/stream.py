"""An upstream's stream of Anthropic's events → our events.

Every frame goes through here, on the direct path too, so a frame is one pass of a typed parser.
Pings and events that we do not know are passed over; what is out of order, or no JSON, is a
`GarbledStream`: a broken stream must never look like a finished one. Only `message_stop` completes
an answer.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from ccapi.core.usage import Usage
from gateway.ir.events import (
    CitationDelta,
    Completed,
    Event,
    Failed,
    OtherBlock,
    ReasoningDelta,
    RedactedReasoningBlock,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.citations import decode_citation
from gateway.protocols.anthropic.errors import failure_kind
from gateway.protocols.anthropic.signatures import unseal
from gateway.protocols.anthropic.stops import decode_stop
from gateway.protocols.anthropic.turns import encode_input
from gateway.protocols.anthropic.usage import decode_usage, merge
from gateway.protocols.base import Frame, GarbledStream

# Blocks that are told piece by piece; all others are collected and passed on whole.
_OWN_KINDS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})

_Handler = Callable[[wire.StreamEvent], tuple[Event, ...]]


class Open(msgspec.Struct):
    """A block that has begun: what later frames need to know of it."""

    kind: str
    call: int = -1  # position among the calls, for `tool_use`
    given: str = ""  # a call's arguments that came with its start
    arguments: bool = False  # whether any came since
    fields: wire.Object | None = None  # the block itself, for those that are collected
    input: list[str] = []  # fragments of its `input`
    text_start: int = 0  # where a text begins in the answer's
    cited: list[Raw] = []  # its citations


class Decoder:
    """See `StreamDecoder`."""

    def __init__(self) -> None:
        self._open: dict[int, Open] = {}
        self._calls = 0
        self._said = 0  # characters of text
        self._usage: Raw = wire.ABSENT
        self._started = False
        self._completed = False
        self._data = b""  # of the frame at hand
        self._handlers: dict[str, _Handler] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "error": self._error,
        }

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """Raises: GarbledStream."""
        if not frame.data or frame.event == "ping":
            return ()
        try:
            event = wire.decode_event(frame.data)
        except msgspec.ValidationError as error:
            if self._known(frame.data):
                raise GarbledStream(
                    f"An event of Anthropic's stream is malformed: {error}"
                ) from error
            return ()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GarbledStream(f"A frame of the stream is no JSON: {error}") from error
        # An error object without a type is still an error.
        handler = self._handlers.get(event.type or ("error" if event.error else ""))
        if handler is None:
            if event.type:
                return ()
            raise GarbledStream("A frame of the stream is no event.")
        if self._started is (event.type == "message_start") and event.error is None:
            raise GarbledStream(f"{event.type} out of order.")
        if self._completed:
            raise GarbledStream(f"{event.type} after message_stop.")
        self._data = frame.data
        try:
            return handler(event)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GarbledStream(f"{event.type} is malformed: {error}") from error

    def _known(self, data: bytes) -> bool:
        """Whether an event that does not fit our types is of a kind that should."""
        try:
            return wire.decode_tag(data).type in self._handlers
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True

    def _message_start(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        message = event.message
        if message is None:
            raise GarbledStream("message_start without its message.")
        self._started = True
        usage = None if wire.absent(message.usage) else self._count(message.usage)
        return (Started(id=message.id, model=message.model, usage=usage),)

    def _count(self, raw: Raw) -> Usage | None:
        """None for what is no usage: an answer is not worse for it, it is counted."""
        try:
            self._usage = merge(self._usage, raw)
        except ValueError:  # no object
            return None
        return decode_usage(self._usage)

    def _block_start(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        if event.index in self._open:
            raise GarbledStream(f"Block {event.index} began twice.")
        kind = wire.decode_tag(event.content_block).type
        if kind not in _OWN_KINDS:
            fields = wire.decode_object(event.content_block)
            self._open[event.index] = Open(kind, fields=fields, input=[])
            return ()
        block = wire.decode_started_block(event.content_block)
        self._open[event.index] = Open(kind)
        match kind:
            case "text":
                self._open[event.index] = Open(
                    kind, text_start=self._said, cited=list(block.citations or ())
                )
                return self._text(block.text) if block.text else ()
            case "thinking":
                return _thoughts(block.thinking or "", block.signature or "")
            case "redacted_thinking":
                data, signed_by = unseal(block.data or "")
                return (RedactedReasoningBlock(data=data, signed_by=signed_by),)
            case _:
                call = self._calls
                self._calls += 1
                given = "" if wire.absent(block.input) else wire.text(block.input)
                self._open[event.index] = Open(kind, call=call, given=given)
                return (ToolCallStarted(index=call, id=block.id or "", name=block.name or ""),)

    def _block_delta(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        block, delta = self._open.get(event.index), event.delta
        if block is None or delta is None:
            raise GarbledStream(f"A delta of block {event.index}, which is not open.")
        if block.fields is not None:
            if delta.type == "input_json_delta":
                block.input.append(delta.partial_json)
            else:
                merge_delta(block.fields, wire.decode_raw_delta(self._data).delta)
            return ()
        match delta.type:
            case "text_delta":
                return self._text(delta.text)
            case "input_json_delta":
                if not delta.partial_json:
                    return ()
                block.arguments = True
                return (ToolCallDelta(index=block.call, arguments=delta.partial_json),)
            case "thinking_delta":
                return (ReasoningDelta(text=delta.thinking),)
            case "signature_delta":
                return _thoughts("", delta.signature)
            case "citations_delta":
                # Told as the block ends: only then is known which text it is of.
                block.cited.append(delta.citation)
        return ()

    def _block_stop(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        block = self._open.pop(event.index, None)
        if block is None:
            raise GarbledStream(f"Block {event.index} ended, but was not open.")
        if block.fields is not None:
            return (_whole(block, block.fields),)
        if block.cited:
            return tuple(self._citation(raw, block) for raw in block.cited)
        if block.call >= 0 and not block.arguments:
            # No fragment came: the arguments came with the start, or there are none.
            return (ToolCallDelta(index=block.call, arguments=block.given or "{}"),)
        return ()

    def _text(self, text: str) -> tuple[Event, ...]:
        self._said += len(text)
        return (TextDelta(text=text),)

    def _citation(self, raw: Raw, block: Open) -> CitationDelta:
        cited = decode_citation(raw, block.text_start, self._said)
        return CitationDelta(raw=raw, protocol=wire.NAME, cited=cited)

    def _message_delta(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        events: list[Event] = []
        delta = event.delta
        if delta is not None and delta.stop_reason:
            events.append(
                Stopped(
                    reason=decode_stop(delta.stop_reason),
                    raw_reason=delta.stop_reason,
                    stop_sequence=delta.stop_sequence or "",
                )
            )
        if not wire.absent(event.usage):
            events.append(UsageReported(usage=self._count(event.usage)))
        return tuple(events)

    def _message_stop(self, _event: wire.StreamEvent) -> tuple[Event, ...]:
        if self._open:
            raise GarbledStream(f"message_stop while block {min(self._open)} is open.")
        self._completed = True
        return (Completed(),)

    def _error(self, event: wire.StreamEvent) -> tuple[Event, ...]:
        error = event.error
        if not isinstance(error, wire.WireError):
            error = wire.WireError(message=error)
        kind = failure_kind(error, status=0)
        message = error.message or "The provider ended the stream with an error."
        return (Failed(kind=kind, message=message, code=error.type or ""),)


def _thoughts(text: str, signature: str) -> tuple[Event, ...]:
    """Thoughts and the signature that ends them; a sealed empty signature (our own) is none."""
    events: list[Event] = [ReasoningDelta(text=text)] if text else []
    value, signed_by = unseal(signature)
    if signed_by:
        events.append(SignatureDelta(signature=value, signed_by=signed_by))
    return tuple(events)


def merge_delta(fields: wire.Object, delta: wire.Object) -> None:
    """A delta that only Anthropic knows, into its block: text grows, all else is replaced."""
    for name, value in delta.items():
        earlier = fields.get(name)
        if name == "type":
            continue
        if earlier is not None and _is_text(earlier) and _is_text(value):
            grown = msgspec.json.decode(earlier, type=str) + msgspec.json.decode(value, type=str)
            fields[name] = Raw(wire.encode(grown))
        else:
            fields[name] = value


def _is_text(raw: Raw) -> bool:
    return bytes(raw).startswith(b'"')


def _whole(block: Open, fields: wire.Object) -> OtherBlock:
    if block.input and (text := "".join(block.input)).strip():
        fields["input"] = encode_input(text)
    raw = msgspec.json.format(wire.encode(fields), indent=-1)
    return OtherBlock(protocol=wire.NAME, kind=block.kind, raw=Raw(raw))
