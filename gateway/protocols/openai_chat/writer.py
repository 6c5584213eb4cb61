"""Streams, events → a client's `chat.completion.chunk`s.

The head and the tail of a chunk are the same bytes all the stream long; between them stands the
delta. The answer's role comes first, one chunk a choice; usage and `[DONE]` are written by `end`
alone.
"""

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import (
    AudioDelta,
    CitationDelta,
    Completed,
    Event,
    Failed,
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
    UsageReported,
)
from gateway.ir.response import Costs
from gateway.protocols.base import Told
from gateway.protocols.openai_chat import errors, reasoning, wire
from gateway.protocols.openai_chat.messages_in import NAME
from gateway.protocols.openai_chat.response import annotation
from gateway.protocols.openai_chat.stops import encode_stop
from gateway.protocols.openai_chat.usage import encode_usage
from gateway.protocols.shared.raws import one_line

CONTENT_TYPE = "text/event-stream; charset=utf-8"
DONE_FRAME = b"data: [DONE]\n\n"

_TAIL = b'},"logprobs":null,"finish_reason":null}]}\n\n'
_CALL = (
    b'"tool_calls":[{"index":%d,"id":%b,"type":"function","function":{"name":%b,"arguments":""}}]'
)
_ARGUMENTS = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]'
_encode = wire.encode


class _Thought:
    """The thought being written in a choice, kept whole until it is known whether it is signed."""

    __slots__ = ("signature", "signed_by", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.signature = ""
        self.signed_by = ""


class StreamEncoder:
    """See `gateway.protocols.base.StreamEncoder`."""

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._id = told.id
        self._head = b""
        self._opened: set[int] = set()
        self._thoughts: dict[int, _Thought] = {}
        self._entries: dict[int, int] = {}  # choice → entries of reasoning_details so far
        self._notes: dict[int, list[object]] = {}  # by choice, until it stops
        self._begin(told.id, told.created)

    def _begin(self, answer_id: str, created: int) -> None:
        self._id = answer_id
        fields = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": self._told.model,
            "provider": self._told.provider,
        }
        self._head = b"data: " + _encode(fields)[:-1]

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Started):
            if not self._opened:
                self._begin(event.id or self._told.id, event.created or self._told.created)
            return b""
        if isinstance(event, UsageReported | Completed | Failed):
            return b""  # usage and the end are `end`'s to write, a failure is `fail`'s
        choice = event.choice
        signed = b""
        if self._thoughts and not isinstance(event, ReasoningDelta | SignatureDelta):
            signed = self._sign(choice)
        if isinstance(event, Stopped):
            return signed + self._stop(event)
        delta = self._delta(event)
        if not delta:
            return signed
        if isinstance(event, TextDelta) and event.logprobs is not None:
            return signed + self._chunk(choice, delta, _tail(event.logprobs))
        return signed + self._chunk(choice, delta)

    def _chunk(self, choice: int, delta: bytes, tail: bytes = _TAIL) -> bytes:
        head = b'%b,"choices":[{"index":%d,"delta":{' % (self._head, choice)
        chunk = head + delta + tail
        if choice in self._opened:
            return chunk
        self._opened.add(choice)
        return head + b'"role":"assistant","content":""' + _TAIL + chunk

    def _delta(self, event: Event) -> bytes:
        """The inside of `delta`; b"" where this protocol has no word for the event."""
        match event:
            case TextDelta():
                return b'"content":' + _encode(event.text)
            case ReasoningDelta():
                thought = self._thoughts.setdefault(event.choice, _Thought())
                thought.text.append(event.text)
                return b'"reasoning_content":' + _encode(event.text)
            case SignatureDelta():
                thought = self._thoughts.setdefault(event.choice, _Thought())
                thought.signature += event.signature
                thought.signed_by = event.signed_by
                return b""
            case RedactedReasoningBlock():
                index = self._next_entry(event.choice)
                entry = reasoning.encrypted_entry(event.data, event.signed_by, index)
                return b'"reasoning_details":[' + bytes(entry) + b"]"
            case ToolCallStarted():
                call = (event.index, _encode(event.id), _encode(event.name))
                return _CALL % call
            case ToolCallDelta():
                return _ARGUMENTS % (event.index, _encode(event.arguments))
            case RefusalDelta():
                return b'"refusal":' + _encode(event.text)
            case AudioDelta():
                return self._audio(event)
            case OtherBlock() | CitationDelta():
                return self._rare(event)
            case _:
                return b""

    def _rare(self, event: OtherBlock | CitationDelta) -> bytes:
        if isinstance(event, OtherBlock):
            return _own(event) if event.protocol == NAME else b""
        notes: list[object] = [annotation(one) for one in event.cited if one.url]
        if event.protocol == NAME:
            notes = [wire.Raw(one_line(bytes(event.raw)))]
        self._notes.setdefault(event.choice, []).extend(notes)
        return b""

    def _cite(self, choice: int) -> bytes:
        """Sources, all at once behind the text: the SDK does not join those of several chunks."""
        notes = self._notes.pop(choice, None)
        return self._chunk(choice, b'"annotations":' + _encode(notes)) if notes else b""

    def _audio(self, event: AudioDelta) -> bytes:
        audio = {"id": f"audio_{self._id}"}
        if event.data:
            audio["data"] = event.data
        if event.transcript:
            audio["transcript"] = event.transcript
        return b'"audio":' + _encode(audio)

    def _stop(self, event: Stopped) -> bytes:
        reason = _encode(encode_stop(event.reason))
        if event.stop_sequence:
            reason += b',"stop_reason":' + _encode(event.stop_sequence)
        tail = b'},"logprobs":null,"finish_reason":%b}]}\n\n' % reason
        return self._cite(event.choice) + self._chunk(event.choice, b"", tail)

    def _sign(self, choice: int) -> bytes:
        """The thought is over: the signature of another protocol goes out with the whole text."""
        thought = self._thoughts.pop(choice, None)
        if thought is None or not thought.signature or thought.signed_by == NAME:
            return b""
        text = "".join(thought.text)
        index = self._next_entry(choice)
        entry = reasoning.text_entry(text, thought.signature, thought.signed_by, index)
        return self._chunk(choice, b'"reasoning_details":[' + bytes(entry) + b"]")

    def _next_entry(self, choice: int) -> int:
        index = self._entries.get(choice, 0)
        self._entries[choice] = index + 1
        return index

    def end(self, usage: Usage, costs: Costs) -> bytes:
        signed = b"".join(self._sign(choice) for choice in tuple(self._thoughts))
        signed += b"".join(self._cite(choice) for choice in tuple(self._notes))
        last = self._head + b',"choices":[],"usage":' + encode_usage(usage, costs) + b"}\n\n"
        return signed + last + DONE_FRAME

    def fail(self, error: GatewayError) -> bytes:
        return errors.error_frame(error)


def _own(event: OtherBlock) -> bytes:
    """What only this protocol knows, as its upstream wrote it."""
    match event.kind:
        case "tool_call":
            return b'"tool_calls":[' + one_line(bytes(event.raw)) + b"]"
        case "reasoning_details":
            return b'"reasoning_details":' + one_line(bytes(event.raw))
        case _:
            return b""


def _tail(logprobs: wire.Raw) -> bytes:
    return b'},"logprobs":' + one_line(bytes(logprobs)) + b',"finish_reason":null}]}\n\n'
