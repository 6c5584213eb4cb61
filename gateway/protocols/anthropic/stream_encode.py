"""Our events → a client's stream of Anthropic's events, as the official SDK takes it.

`message_start`, then blocks one after the other with growing indices (start, deltas, stop), then,
at the end, `message_delta` with the usage and its costs, and `message_stop`. One block is open at a
time, while other protocols write parallel calls interleaved: so blocks queue. The head of the queue
is written as it comes, what belongs to later blocks waits until the head is done. Text and thoughts
are done when anything else begins, a call when its arguments are a complete JSON object, or nothing
more can come.
"""

import msgspec

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
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.citations import encode_citation
from gateway.protocols.anthropic.errors import encode_error
from gateway.protocols.anthropic.signatures import seal
from gateway.protocols.anthropic.stops import encode_stop
from gateway.protocols.anthropic.turns import safe_id
from gateway.protocols.anthropic.usage import encode_usage
from gateway.protocols.base import Told
from gateway.protocols.shared.raws import one_line

CONTENT_TYPE = "text/event-stream; charset=utf-8"


class Block(msgspec.Struct):
    """One content block: its start, and the deltas that wait for their turn."""

    kind: str  # text | thinking | tool_use | whole
    start: wire.Json | msgspec.Raw
    call: int = -1
    waiting: list[wire.Json] = []
    arguments: list[str] = []
    ended: bool = False  # signed, or cited: more of its kind is a block of its own


class Encoder:
    """See `StreamEncoder`."""

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._queue: list[Block] = []  # the head is open
        self._calls: dict[int, Block] = {}
        self._index = 0  # of the head
        self._started = False
        self._stopped: Stopped | None = None
        self._out: list[bytes] = []

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Started):
            self._start(event)
        elif getattr(event, "choice", 0) == 0:  # this protocol has one answer only
            self._content(event)
        return self._taken()

    def end(self, usage: Usage, costs: Costs) -> bytes:
        self._finish()
        stopped = self._stopped
        reason = encode_stop(
            stopped.reason if stopped else None,
            stopped.raw_reason if stopped else "",
            calls=bool(self._calls),
        )
        sequence = (stopped.stop_sequence if stopped else "") or None
        self._write(
            "message_delta",
            {
                "delta": {"stop_reason": reason, "stop_sequence": sequence},
                "usage": encode_usage(usage, costs),
            },
        )
        self._write("message_stop", {})
        return self._taken()

    def fail(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + encode_error(error, "") + b"\n\n"

    def _start(self, event: Started) -> None:
        if self._started:
            return
        self._started = True
        message: wire.Json = {
            "id": event.id or self._told.id,
            "type": "message",
            "role": "assistant",
            "model": self._told.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(event.usage or Usage(), None),
        }
        self._write("message_start", {"message": message})

    def _content(self, event: Event) -> None:
        match event:
            case TextDelta() | RefusalDelta():
                self._text(event.text)
            case AudioDelta():
                self._text(event.transcript)
            case CitationDelta():
                self._cite(event)
            case OtherBlock() if event.protocol == wire.NAME:
                self._begin(Block("whole", event.raw))
            case ToolCallStarted():
                self._call(event)
            case ToolCallDelta():
                self._arguments(event)
            case Stopped():
                self._stopped = event
                self._finish()
            case _:
                self._thought(event)

    def _thought(self, event: Event) -> None:
        match event:
            case ReasoningDelta() if event.text:
                thought = {"type": "thinking_delta", "thinking": event.text}
                self._delta(self._running("thinking"), thought)
            case SignatureDelta():
                self._sign(event)
            case RedactedReasoningBlock():
                data = seal(event.data, event.signed_by)
                self._begin(Block("whole", {"type": "redacted_thinking", "data": data}))

    def _text(self, text: str) -> None:
        if text:
            self._delta(self._running("text"), {"type": "text_delta", "text": text})

    def _cite(self, event: CitationDelta) -> None:
        """Into the text at hand, which ends with it: a citation is of a whole block."""
        block = self._queue[-1] if self._queue else None
        if block is None or block.kind != "text":
            return
        told: list[wire.Json | msgspec.Raw] = [event.raw]
        if event.protocol != wire.NAME:
            told = [encode_citation(cited) for cited in event.cited if cited.url]
        for citation in told:
            self._delta(block, {"type": "citations_delta", "citation": citation})
            block.ended = True

    def _running(self, kind: str) -> Block:
        """The block of this kind that grows, or a new one."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last.kind == kind and not last.ended:
            return last
        start: wire.Json = {"type": kind, kind: ""}
        if kind == "thinking":
            start["signature"] = ""
        return self._begin(Block(kind, start))

    def _sign(self, event: SignatureDelta) -> None:
        """A signature of Anthropic's as it is; another protocol's under our seal."""
        block = self._running("thinking")
        block.ended = True
        signature = seal(event.signature, event.signed_by)
        self._delta(block, {"type": "signature_delta", "signature": signature})

    def _call(self, event: ToolCallStarted) -> None:
        if event.index in self._calls:
            return
        start = {"type": "tool_use", "id": safe_id(event.id), "name": event.name, "input": {}}
        self._calls[event.index] = self._begin(Block("tool_use", start, call=event.index))

    def _arguments(self, event: ToolCallDelta) -> None:
        block = self._calls.get(event.index)
        if block is None or not event.arguments:
            return
        block.arguments.append(event.arguments)
        self._delta(block, {"type": "input_json_delta", "partial_json": event.arguments})
        # Only a closing brace can complete it: no parse for every fragment.
        if (
            len(self._queue) > 1
            and block is self._queue[0]
            and event.arguments.rstrip()[-1:] == "}"
        ):
            self._advance()

    def _begin(self, block: Block) -> Block:
        self._queue.append(block)
        if len(self._queue) == 1:
            self._open()
        else:
            self._advance()
        return block

    def _delta(self, block: Block, delta: wire.Json) -> None:
        if self._queue and block is self._queue[0]:
            self._write("content_block_delta", {"index": self._index, "delta": delta})
        elif any(block is later for later in self._queue):
            block.waiting.append(delta)
        # Else the block is closed: white space, say, after a complete JSON object.

    def _advance(self) -> None:
        """Close the heads that are done while others wait behind them."""
        while len(self._queue) > 1 and _done(self._queue[0]):
            self._close()

    def _finish(self) -> None:
        """Nothing more can come for any block."""
        if not self._started:
            self._start(Started())
        while self._queue:
            self._close()

    def _open(self) -> None:
        if not self._started:
            self._start(Started())
        head = self._queue[0]
        self._write("content_block_start", {"index": self._index, "content_block": head.start})
        for delta in head.waiting:
            self._write("content_block_delta", {"index": self._index, "delta": delta})
        head.waiting = []

    def _close(self) -> None:
        head = self._queue[0]
        if head.kind == "thinking" and not head.ended:
            # Thoughts that nobody signed: the seal tells them apart when they come back.
            unsigned = {"type": "signature_delta", "signature": seal("", "")}
            self._delta(head, unsigned)
        self._write("content_block_stop", {"index": self._index})
        del self._queue[0]
        self._index += 1
        if self._queue:
            self._open()

    def _write(self, name: str, fields: wire.Json) -> None:
        data = wire.encode({"type": name} | fields)
        self._out.append(b"event: " + name.encode() + b"\ndata: " + one_line(data) + b"\n\n")

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out


def _done(block: Block) -> bool:
    """Whether nothing that matters can come for this block once another has begun."""
    if block.kind != "tool_use":
        return True
    try:
        wire.decode_object("".join(block.arguments).encode())
    except msgspec.DecodeError:
        return False
    return True
