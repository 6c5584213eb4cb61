r"""Our events → a client's stream of Gemini's chunks.

Text goes out as it comes; a call is whole in Gemini's protocol, so it waits until its arguments are
complete, and what comes behind it waits, too. The reasons for the end and the usage are one chunk,
written by `end` alone, since to clients of Gemini a `finishReason` is the mark of success. Frames
end with `\r\n\r\n`; a client that did not ask for `alt=sse` gets one JSON array.
"""

import msgspec

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
from gateway.ir.request import Citation, RedactedReasoning, ToolCall
from gateway.ir.response import Costs
from gateway.protocols.base import Told
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.citations import encode_citations
from gateway.protocols.gemini.contents_out import encode_call
from gateway.protocols.gemini.errors import encode_error
from gateway.protocols.gemini.logprobs import encode_logprobs
from gateway.protocols.gemini.response import SPOKEN_TYPE, foreign_thoughts
from gateway.protocols.gemini.signatures import seal
from gateway.protocols.gemini.stops import encode_stop
from gateway.protocols.gemini.usage import encode_usage
from gateway.protocols.shared.raws import one_line

SSE_TYPE = "text/event-stream; charset=utf-8"
JSON_TYPE = "application/json; charset=utf-8"


class Framing:
    """Chunks as events, or as the elements of one JSON array."""

    def __init__(self, *, array: bool) -> None:
        self.array = array
        self.content_type = JSON_TYPE if array else SSE_TYPE
        self._began = False

    def chunk(self, data: bytes) -> bytes:
        if not self.array:
            return b"data: " + one_line(data) + b"\r\n\r\n"
        lead = b",\r\n" if self._began else b"["
        self._began = True
        return lead + data

    def end(self) -> bytes:
        """What closes a complete answer; a broken array is left open."""
        if not self.array:
            return b""
        return b"\r\n]" if self._began else b"[]"


class Call:
    """A call whose arguments are still coming."""

    __slots__ = ("arguments", "id", "name", "signature")

    def __init__(self, call_id: str, name: str, signature: str) -> None:
        self.id = call_id
        self.name = name
        self.signature = signature
        self.arguments: list[str] = []

    def is_whole(self) -> bool:
        try:
            wire.decode_object("".join(self.arguments).encode())
        except msgspec.DecodeError:
            return False
        return True

    def part(self) -> wire.Json:
        call = ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))
        told = encode_call(call)
        if self.signature:
            told["thoughtSignature"] = self.signature
        return told


class Said:
    """What one choice said and the client has not got yet."""

    def __init__(self) -> None:
        self.queue: list[Call | wire.Json] = []
        self.calls: dict[int, Call] = {}
        self.signature = ""  # waits for the part that it belongs on
        self.signed_by = ""
        self.stopped: Stopped | None = None
        self.text: list[str] = []  # all that was said, which citations of other protocols point at
        self.cited: list[Citation] = []

    def take_signature(self) -> str:
        """A signature of Gemini's own, for the part at hand."""
        signature, self.signature = self.signature, ""
        return signature


class Encoder:
    """See `StreamEncoder`."""

    def __init__(self, told: Told, *, array: bool) -> None:
        self._told = told
        self._framing = Framing(array=array)
        self.content_type = self._framing.content_type
        self._tail: wire.Json = {"modelVersion": told.model, "responseId": told.id}
        self._said: dict[int, Said] = {}

    def encode(self, event: Event) -> bytes:
        match event:
            case Started():
                if event.id and not self._said:
                    self._tail["responseId"] = event.id
                return b""
            case UsageReported() | Completed() | Failed():
                return b""  # usage and the end are `end`'s to write, a failure is `fail`'s
        said = self._said.get(event.choice)
        if said is None:
            said = self._said[event.choice] = Said()
        if isinstance(event, Stopped):
            said.stopped = event
            return self._flush(event.choice, said, whole=True)
        self._add(event, said)
        return self._flush(event.choice, said, whole=False)

    def _add(self, event: Event, said: Said) -> None:
        if isinstance(event, SignatureDelta):
            said.signature += event.signature
            said.signed_by = event.signed_by
            return
        if said.signature and said.signed_by != wire.NAME:
            said.queue.append(_sealed(said))
        match event:
            case TextDelta() | RefusalDelta() if event.text or getattr(event, "logprobs", None):
                part: wire.Json = {"text": event.text}
                if isinstance(event, TextDelta) and event.logprobs is not None:
                    part[_LOGPROBS] = encode_logprobs(event.logprobs)
                said.text.append(event.text)
                said.queue.append(_signed(part, said))
            case ReasoningDelta() if event.text:
                said.queue.append({"text": event.text, "thought": True})
            case RedactedReasoningBlock():
                redacted = RedactedReasoning(data=event.data, signed_by=event.signed_by)
                said.queue.append(foreign_thoughts(redacted) or {})
            case ToolCallStarted() if event.index not in said.calls:
                call = Call(event.id, event.name, said.take_signature())
                said.calls[event.index] = call
                said.queue.append(call)
            case ToolCallDelta() if event.index in said.calls:
                said.calls[event.index].arguments.append(event.arguments)
            case _:
                _add_rare(event, said)

    def _flush(self, choice: int, said: Said, *, whole: bool) -> bytes:
        """Chunks of what is complete, in order; everything, where nothing more can come."""
        if whole and said.signature:
            if said.signed_by != wire.NAME:
                said.queue.append(_sealed(said))
            else:
                said.queue.append({"text": "", "thoughtSignature": said.take_signature()})
        out = b""
        queue = said.queue
        while queue:
            head = queue[0]
            if isinstance(head, Call):
                # The last one may still grow: some vendors send white space behind the object.
                if not whole and (len(queue) == 1 or not head.is_whole()):
                    break
                head = head.part()
            del queue[0]
            out += self._chunk(choice, head)
        return out

    def _chunk(self, choice: int, part: wire.Json) -> bytes:
        candidate: wire.Json = {"content": {"role": "model", "parts": [part]}, "index": choice}
        if _LOGPROBS in part:
            candidate["logprobsResult"] = part.pop(_LOGPROBS)
        if _CITED in part:
            candidate |= {"content": _EMPTY, **_fields(part[_CITED])}
        return self._framing.chunk(wire.encode({"candidates": [candidate], **self._tail}))

    def end(self, usage: Usage, costs: Costs) -> bytes:
        out = b""
        candidates: list[wire.Json] = []
        for choice, said in sorted((self._said or {0: Said()}).items()):
            out += self._flush(choice, said, whole=True)
            stopped = said.stopped
            reason = encode_stop(
                stopped.reason if stopped else None, stopped.raw_reason if stopped else ""
            )
            candidates.append(
                {
                    "content": _EMPTY,
                    "finishReason": reason,
                    "index": choice,
                    **encode_citations(said.cited, "".join(said.text)),
                }
            )
        last = {
            "candidates": candidates,
            "usageMetadata": encode_usage(usage, costs),
            **self._tail,
        }
        return out + self._framing.chunk(wire.encode(last)) + self._framing.end()

    def fail(self, error: GatewayError) -> bytes:
        return self._framing.chunk(encode_error(error, ""))


_LOGPROBS = "logprobsResult"  # kept with its part until the chunk is written
_CITED = "citations"
# The SDK's chats forget an answer of which one chunk had no content.
_EMPTY = {"role": "model", "parts": [{"text": ""}]}


def _signed(part: wire.Json, said: Said) -> wire.Json:
    signature = said.take_signature()
    return {**part, "thoughtSignature": signature} if signature else part


def _sealed(said: Said) -> wire.Json:
    """The signature of another protocol's thoughts, which ends them."""
    signature = seal(said.take_signature(), said.signed_by)
    return {"text": "", "thought": True, "thoughtSignature": signature}


def _add_rare(event: Event, said: Said) -> None:
    match event:
        case OtherBlock() if event.protocol == wire.NAME:
            said.queue.append(dict(wire.decode_object(event.raw)))
        case CitationDelta() if event.protocol == wire.NAME:
            said.queue.append({_CITED: event.raw})
        case CitationDelta():
            said.cited += event.cited
        case AudioDelta() if event.data:
            blob = {"mimeType": SPOKEN_TYPE, "data": event.data}
            said.queue.append(_signed({"inlineData": blob}, said))
        case AudioDelta() if event.transcript:
            said.queue.append({"text": event.transcript})
        case _:
            pass  # what only another protocol knows


def _fields(raw: object) -> wire.Object:
    return wire.decode_object(raw) if isinstance(raw, wire.Raw) else {}
