"""Streams, lines of JSON → events. `"done": true` is the end marker."""

from gateway.ir.events import (
    Completed,
    Event,
    ReasoningDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.ollama import errors, wire
from gateway.protocols.ollama.logprobs import decode_logprobs
from gateway.protocols.ollama.response import Ids, epoch
from gateway.protocols.ollama.stops import decode_stop
from gateway.protocols.ollama.usage import decode_usage


class StreamDecoder:
    """See `gateway.protocols.base.StreamDecoder`."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._calls = 0
        self._ids = Ids("")

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        if self._ended or not frame.data:
            return ()
        try:
            answer = wire.decode_answer(frame.data)
        except wire.DecodeError as error:
            raise GarbledStream(f"Not a line of Ollama's: {error}") from None
        if wire.is_set(answer.error):
            self._ended = True
            return (errors.failure_in_stream(frame.data),)
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._ids = Ids(answer.created_at)
            events.append(Started(model=answer.model or "", created=epoch(answer.created_at)))
        if answer.message is not None:
            self._message(answer, answer.message, events)
        if answer.done:
            self._end(answer, events)
        return tuple(events)

    def _message(self, answer: wire.Answer, message: wire.Message, events: list[Event]) -> None:
        if message.thinking:
            events.append(ReasoningDelta(text=message.thinking))
        if message.content:
            logprobs = decode_logprobs(answer.logprobs)
            events.append(TextDelta(text=message.content, logprobs=logprobs))
        for call in message.tool_calls or ():
            function = call.function or wire.Function()
            index = self._calls
            self._calls += 1
            call_id = self._ids.next(call.id)
            events.append(ToolCallStarted(index=index, id=call_id, name=function.name or ""))
            arguments = wire.arguments_text(function.arguments)
            events.append(ToolCallDelta(index=index, arguments=arguments))

    def _end(self, answer: wire.Answer, events: list[Event]) -> None:
        self._ended = True
        reason = decode_stop(answer.done_reason, has_calls=self._calls > 0)
        events.append(Stopped(reason=reason, raw_reason=answer.done_reason or ""))
        usage = decode_usage(answer)
        if usage is not None:
            events.append(UsageReported(usage=usage))
        events.append(Completed())
