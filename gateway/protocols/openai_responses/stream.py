"""Streams, frames → events: `response.*` events up to `response.completed` or `.incomplete`.

Runs on every frame, on the direct path too: one typed decode a frame, no more. Events that we do
not know are passed over. What an item holds in the end but was not told piece by piece (vendors
differ in that) is told when the item is done. Only the two final events complete an answer.
"""

from collections.abc import Callable

import msgspec

from gateway.ir.events import (
    CitationDelta,
    Completed,
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
    UsageReported,
)
from gateway.ir.request import RedactedReasoning
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.openai_responses import errors, items, signatures, wire
from gateway.protocols.openai_responses.namespaces import joined
from gateway.protocols.openai_responses.stops import decode_stop
from gateway.protocols.openai_responses.usage import decode_usage
from gateway.protocols.openai_responses.wire import NAME
from gateway.protocols.shared import url_citations

DONE = b"[DONE]"

_Handler = Callable[[wire.Event], tuple[Event, ...]]


class _Item(msgspec.Struct):
    """An output item that has begun."""

    kind: str = ""
    call: int = -1  # position among the calls
    told: bool = False  # whether any of its content was told piece by piece
    thoughts: str = ""  # `summary` or `text`: which of both is told
    part: int = 0  # of the summary, or of the content
    text_start: int = 0  # where its text begins in the answer's


class StreamDecoder:
    """See `gateway.protocols.base.StreamDecoder`."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._calls = 0
        self._said = 0  # characters of text
        self._items: dict[int, _Item] = {}
        self._handlers: dict[str, _Handler] = {
            "response.created": self._begin,
            "response.queued": self._begin,
            "response.in_progress": self._begin,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.output_text.delta": self._text,
            "response.output_text.done": self._text_done,
            "response.output_text.annotation.added": self._annotation,
            "response.refusal.delta": self._refusal,
            "response.refusal.done": self._refusal_done,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_text.delta": self._thought,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._arguments_done,
            "response.custom_tool_call_input.delta": self._input,
            "response.custom_tool_call_input.done": self._input_done,
            "response.completed": self._end,
            "response.incomplete": self._end,
        }

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        data = frame.data
        if not data or self._ended:
            return ()
        try:
            event = wire.decode_event(data)
            kind = event.type or frame.event
            if kind in ("error", "response.failed", "response.cancelled") or (
                not kind and wire.is_set(event.error)
            ):
                self._ended = True
                told = event.response if wire.is_set(event.response) else data
                return (errors.failure_in_stream(bytes(told)),)
            handler = self._handlers.get(kind)
            return handler(event) if handler is not None else ()
        except msgspec.DecodeError as error:
            if data.strip() == DONE:
                return ()
            if self._passed_over(data):
                return ()
            raise GarbledStream(f"Not an event of a response: {error}") from None

    def _passed_over(self, data: bytes) -> bool:
        """Whether what does not fit our types is an event that we do not read anyway."""
        try:
            kind = wire.decode_tag(data).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return bool(kind) and kind not in self._handlers

    def _begin(self, event: wire.Event) -> tuple[Event, ...]:
        if self._started:
            return ()
        self._started = True
        told = wire.decode_answer(event.response)
        created = int(told.created_at or 0)
        return (Started(id=told.id or "", model=told.model or "", created=created),)

    def _item(self, event: wire.Event) -> _Item:
        return self._items.setdefault(event.output_index, _Item())

    def _item_added(self, event: wire.Event) -> tuple[Event, ...]:
        if not wire.is_set(event.item):
            return ()
        kind = wire.decode_tag(event.item).type
        known = self._item(event)
        known.kind = kind
        if kind not in items.CALLS or known.call >= 0:
            return ()
        return self._call_started(known, wire.decode_item(event.item))

    def _call_started(self, known: _Item, item: wire.Item) -> tuple[Event, ...]:
        known.call = self._calls
        self._calls += 1
        call_id = item.call_id or item.id or f"call_{known.call}"
        name = joined(item.namespace or "", item.name or "")
        return (ToolCallStarted(index=known.call, id=call_id, name=name),)

    def _text(self, event: wire.Event) -> tuple[Event, ...]:
        text = event.delta
        if not isinstance(text, str):
            raise GarbledStream("The delta of a text is no text.")
        tokens = None
        if event.logprobs:
            tokens = wire.raw({"content": [token.copy() for token in event.logprobs]})
        if not text and tokens is None:
            return ()
        self._text_of(event, text)
        return (TextDelta(text=text, logprobs=tokens),)

    def _text_of(self, event: wire.Event, text: str) -> None:
        known = self._item(event)
        if not known.told:
            known.told, known.text_start = True, self._said
        self._said += len(text)

    def _text_done(self, event: wire.Event) -> tuple[Event, ...]:
        if self._item(event).told or not event.text:
            return ()
        self._text_of(event, event.text)
        return (TextDelta(text=event.text),)

    def _annotation(self, event: wire.Event) -> tuple[Event, ...]:
        if not wire.is_set(event.annotation):
            return ()
        raw = event.annotation.copy()
        cited = url_citations.read(raw, self._item(event).text_start)
        return (CitationDelta(raw=raw, protocol=NAME, cited=cited),)

    def _refusal(self, event: wire.Event) -> tuple[Event, ...]:
        self._item(event).told = True
        return (RefusalDelta(text=_delta(event)),) if event.delta else ()

    def _refusal_done(self, event: wire.Event) -> tuple[Event, ...]:
        known = self._item(event)
        if known.told or not event.refusal:
            return ()
        known.told = True
        return (RefusalDelta(text=event.refusal),)

    def _summary(self, event: wire.Event) -> tuple[Event, ...]:
        return self._think(event, "summary", event.summary_index)

    def _thought(self, event: wire.Event) -> tuple[Event, ...]:
        return self._think(event, "text", event.content_index)

    def _think(self, event: wire.Event, form: str, part: int) -> tuple[Event, ...]:
        """Thoughts come as a summary, as themselves, or as both: then the first is told."""
        known = self._item(event)
        known.thoughts = known.thoughts or form
        text = _delta(event)
        if known.thoughts != form or not text:
            return ()
        if part != known.part:
            known.part = part
            text = "\n\n" + text if known.told else text
        known.told = True
        return (ReasoningDelta(text=text),)

    def _arguments(self, event: wire.Event) -> tuple[Event, ...]:
        known = self._item(event)
        if known.call < 0:
            raise GarbledStream("Arguments of a call that has not begun.")
        text = _delta(event)
        if not text:
            return ()
        known.told = True
        return (ToolCallDelta(index=known.call, arguments=text),)

    def _arguments_done(self, event: wire.Event) -> tuple[Event, ...]:
        return self._rest(self._item(event), event.arguments)

    def _rest(self, known: _Item, arguments: str) -> tuple[Event, ...]:
        if known.told or known.call < 0 or not arguments:
            return ()
        known.told = True
        return (ToolCallDelta(index=known.call, arguments=arguments),)

    def _input(self, event: wire.Event) -> tuple[Event, ...]:
        """Free text, as the one argument of a function: its JSON grows with each delta."""
        known = self._item(event)
        if known.call < 0:
            raise GarbledStream("The input of a call that has not begun.")
        head = "" if known.told else '{"input":"'
        known.told = True
        inside = wire.encode(_delta(event)).decode()[1:-1]
        return (ToolCallDelta(index=known.call, arguments=head + inside),)

    def _input_done(self, event: wire.Event) -> tuple[Event, ...]:
        known = self._item(event)
        if known.call < 0 or known.thoughts:
            return ()
        known.thoughts = "done"
        if known.told:
            return (ToolCallDelta(index=known.call, arguments='"}'),)
        return self._rest(known, wire.encode({"input": event.input}).decode())

    def _item_done(self, event: wire.Event) -> tuple[Event, ...]:
        known = self._item(event)
        kind = wire.decode_tag(event.item).type
        if kind not in items.KNOWN:
            raw = wire.Raw(bytes(event.item))
            return (OtherBlock(protocol=NAME, kind=kind, raw=raw),)
        item = wire.decode_item(event.item)
        if kind == "reasoning":
            return self._thoughts_done(known, item)
        if kind == "message":
            return () if known.told else _said(item)
        begun = self._call_started(known, item) if known.call < 0 else ()
        if kind == items.CUSTOM_CALL:
            done = msgspec.structs.replace(event, input=item.input or "")
            return begun + self._input_done(done)
        return begun + self._rest(known, item.arguments or "")

    def _thoughts_done(self, known: _Item, item: wire.Item) -> tuple[Event, ...]:
        part = signatures.thoughts(
            item_id=item.id or "",
            encrypted=item.encrypted_content or "",
            summary=items.joined(item.summary),
            content=items.joined(item.content),
        )
        if isinstance(part, RedactedReasoning):
            return (RedactedReasoningBlock(data=part.data, signed_by=part.signed_by),)
        events: list[Event] = []
        if part.text and not known.told:
            events.append(ReasoningDelta(text=part.text))
        if part.signed_by:
            events.append(SignatureDelta(signature=part.signature, signed_by=part.signed_by))
        return tuple(events)

    def _end(self, event: wire.Event) -> tuple[Event, ...]:
        answer = wire.decode_answer(event.response)
        events: list[Event] = list(self._begin(event))
        for position, raw in enumerate(answer.output or []):
            # A vendor that tells all at the end.
            if position not in self._items:
                whole = wire.Event(output_index=position, item=raw)
                events += self._item_done(whole)
        self._ended = True
        if wire.is_set(answer.usage):
            events.append(UsageReported(usage=decode_usage(answer.usage)))
        reason, raw_reason = decode_stop(answer, has_calls=self._calls > 0)
        events.append(Stopped(reason=reason, raw_reason=raw_reason))
        events.append(Completed())
        return tuple(events)


def _delta(event: wire.Event) -> str:
    if not isinstance(event.delta, str):
        raise GarbledStream(f"The delta of {event.type} is no text.")
    return event.delta


def _said(item: wire.Item) -> tuple[Event, ...]:
    """A message of which nothing was told before it was done."""
    events: list[Event] = []
    for content in item.content or []:
        if content.type == "refusal" and content.refusal:
            events.append(RefusalDelta(text=content.refusal))
        elif content.text:
            events.append(TextDelta(text=content.text))
    return tuple(events)
