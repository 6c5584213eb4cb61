"""Streams, events → a client's lines. A tool call is one line, once its arguments are complete.

Providers may write several calls at once, a piece of each in turn: all of them wait for the event
that is of none.
"""

from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway.ir.events import (
    Event,
    OtherBlock,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from gateway.ir.request import ToolCall
from gateway.ir.response import Choice, Costs, StopReason
from gateway.protocols.base import Told
from gateway.protocols.ollama import errors, wire
from gateway.protocols.ollama.logprobs import encode_logprobs
from gateway.protocols.ollama.messages import seal
from gateway.protocols.ollama.response import encode_call, head, tail

CONTENT_TYPE = "application/x-ndjson"


class StreamEncoder:
    """See `gateway.protocols.base.StreamEncoder`."""

    content_type = CONTENT_TYPE

    def __init__(self, told: Told) -> None:
        self._told = told
        self._head = head(told)
        self._calls: dict[int, tuple[ToolCallStarted, list[str]]] = {}
        self._stop: StopReason | None = None
        self._signature = ""
        self._signed_by = ""

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Started):
            self._head = head(self._told, event.created)
            return b""
        choice = getattr(event, "choice", 0)
        if choice != 0:
            return b""  # the protocol has one answer a request; no other was asked for
        match event:
            case ToolCallStarted():
                self._calls.setdefault(event.index, (event, []))
                return b""
            case ToolCallDelta():
                if event.index in self._calls:
                    self._calls[event.index][1].append(event.arguments)
                return b""
        return self._finished_calls() + self._delta(event)

    def _delta(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._line({"content": event.text}, **encode_logprobs(event.logprobs))
            case RefusalDelta():
                return self._line({"content": event.text})
            case ReasoningDelta():
                return self._line({"content": "", "thinking": event.text})
            case SignatureDelta():
                self._signature += event.signature
                self._signed_by = event.signed_by
            case Stopped():
                self._stop = event.reason
            case OtherBlock():
                pass  # what only another protocol knows
        return b""

    def _finished_calls(self) -> bytes:
        calls, self._calls = self._calls, {}
        out = b""
        for index, (call, pieces) in calls.items():
            whole = ToolCall(id=call.id, name=call.name, arguments="".join(pieces), index=index)
            out += self._line({"content": "", "tool_calls": [encode_call(whole)]})
        return out

    def _line(self, message: dict[str, object], **fields: object) -> bytes:
        line = {**self._head, "message": {"role": "assistant", **message}, "done": False, **fields}
        return wire.line(line)

    def end(self, usage: Usage, costs: Costs) -> bytes:
        message: dict[str, object] = {"role": "assistant", "content": ""}
        if self._signature:
            message["thinking_signature"] = seal(self._signature, self._signed_by)
        choice = Choice(stop=self._stop)
        last = {**self._head, "message": message, **tail(choice, usage, costs)}
        return self._finished_calls() + wire.line(last)

    def fail(self, error: GatewayError) -> bytes:
        return errors.encode_error(error, "") + b"\n"
