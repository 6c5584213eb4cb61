"""Streams, frames → events: OpenAI's `chat.completion.chunk`s and `data: [DONE]`.

Runs on every frame, on the direct path too: one typed decode a frame, no more. Usage is cumulative,
wherever it stands (last chunk, finish chunk, every chunk, Groq's `x_groq`); only `[DONE]`
completes.
"""

from typing import NamedTuple

import msgspec

from gateway.ir.events import (
    AudioDelta,
    CitationDelta,
    Completed,
    Event,
    Failed,
    OtherBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.openai_chat import errors, reasoning, wire
from gateway.protocols.openai_chat.messages_in import NAME
from gateway.protocols.openai_chat.response import read_content
from gateway.protocols.openai_chat.stops import BROKEN, decode_stop
from gateway.protocols.openai_chat.usage import decode_usage
from gateway.protocols.shared import url_citations

DONE = b"[DONE]"
# How often in a row the quick way may fail before this stream is known not to be for it.
PLAIN_MISSES_MAX = 4


_Slot = tuple[int, int | str]  # choice, and index (or id, without an index)


class _Call(NamedTuple):
    position: int  # among the calls of its choice: vendors count from 0, from 1, or not at all
    id: str


class StreamDecoder:
    """See `gateway.protocols.base.StreamDecoder`."""

    __slots__ = (
        "_calls",
        "_counts",
        "_ended",
        "_last",
        "_names_awaited",
        "_plain",
        "_plain_thoughts",
        "_started",
        "_stopped",
    )

    def __init__(self) -> None:
        self._plain = PLAIN_MISSES_MAX
        self._started = False
        self._ended = False
        self._stopped: set[int] = set()
        # Whether thoughts come in a field of their own, so that their details only repeat them.
        self._plain_thoughts = False
        self._calls: dict[_Slot, _Call] = {}
        self._names_awaited: dict[_Slot, str] = {}  # ids of calls whose name is still to come
        self._counts: dict[int, int] = {}  # choice → calls so far
        self._last: dict[int, int | str] = {}  # choice → the slot written last

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        data = frame.data
        if not data or self._ended:
            return ()
        if self._plain and self._started and not frame.event:
            # A strict parse that succeeds says all; what it does not know is for the lenient one.
            try:
                text = wire.decode_plain(data).choices[0].delta.content
            except msgspec.DecodeError:
                self._plain -= 1
            else:
                self._plain = PLAIN_MISSES_MAX
                return (TextDelta(text=text),) if text else ()
        try:
            return self._events(frame, wire.decode_chunk(data))
        except msgspec.DecodeError as error:
            if data.strip() == DONE:
                self._ended = True
                return (Completed(),)
            raise GarbledStream(f"Not a chat completion chunk: {error}") from None

    def _events(self, frame: Frame, chunk: wire.Chunk) -> tuple[Event, ...]:
        if frame.event == "error" or _is_error(chunk):
            self._ended = True
            return (errors.failure_in_stream(frame.data),)
        events: list[Event] = []
        # Azure's first chunk tells of the prompt's filter and has neither id nor model.
        if not self._started and (chunk.id or chunk.choices):
            self._started = True
            created = int(chunk.created or 0)
            events.append(Started(id=chunk.id or "", model=chunk.model or "", created=created))
        if chunk.choices:
            for choice in chunk.choices:
                self._choice(choice, events)
        told = chunk.usage
        if not told and chunk.x_groq is not None:
            told = chunk.x_groq.usage
        if told:
            usage = decode_usage(told)
            if usage is not None:
                events.append(UsageReported(usage=usage))
        return tuple(events)

    def _choice(self, choice: wire.ChunkChoice, events: list[Event]) -> None:
        index = choice.index or 0
        delta = choice.delta
        logprobs = None
        if choice.logprobs and wire.is_set(choice.logprobs):
            logprobs = _tokens(choice.logprobs)
        if delta is not None:
            self._delta(delta, index, logprobs, events)
        word = choice.finish_reason
        if word and index not in self._stopped:
            if word in BROKEN:
                self._ended = True
                events.append(Failed(kind="server", message=f"The provider broke off: {word}."))
                return
            self._stopped.add(index)
            has_calls = index in self._counts
            stop, matched = decode_stop(word, choice.stop_reason, has_calls=has_calls)
            events.append(
                Stopped(reason=stop, raw_reason=word, stop_sequence=matched, choice=index)
            )

    def _delta(
        self, delta: wire.Delta, index: int, logprobs: wire.Raw | None, events: list[Event]
    ) -> None:
        content = delta.content
        thoughts = delta.reasoning_content or delta.reasoning or ""
        if not isinstance(content, str):
            content, thinking = read_content(content)
            thoughts = thoughts or thinking
        if thoughts or delta.reasoning_details:
            self._think(thoughts, delta.reasoning_details, index, events)
        if content or logprobs is not None:
            events.append(TextDelta(text=content, choice=index, logprobs=logprobs))
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._tool_call(call, index, events)
        elif delta.function_call is not None:
            self._fragment(delta.function_call, index, 0, "call_legacy_0", events)
        if delta.refusal or delta.audio is not None or delta.annotations:
            _rest(delta, index, events)

    def _think(self, thoughts: str, details: wire.Raw, index: int, events: list[Event]) -> None:
        told = wire.is_set(details)
        if thoughts:
            self._plain_thoughts = True
        elif told and not self._plain_thoughts:
            thoughts = reasoning.text_of(details)
        if thoughts:
            events.append(ReasoningDelta(text=thoughts, choice=index))
        if told:
            raw = details.copy()
            events.append(
                OtherBlock(protocol=NAME, kind="reasoning_details", raw=raw, choice=index)
            )

    def _tool_call(self, call: wire.ToolCall, choice: int, events: list[Event]) -> None:
        if call.function is None:
            if call.custom:
                raw = _custom(call)
                events.append(OtherBlock(protocol=NAME, kind="tool_call", raw=raw, choice=choice))
            return
        slot: int | str | None = call.index
        if call.index is None or call.index < 0:
            # Some vendors leave the index out, or say -1: then the id tells the calls apart.
            slot = call.id or self._last.get(choice, 0)
        self._fragment(call.function, choice, slot or 0, call.id or "", events)

    def _fragment(
        self,
        function: wire.Function,
        choice: int,
        slot: int | str,
        call_id: str,
        events: list[Event],
    ) -> None:
        key = (choice, slot)
        self._last[choice] = slot
        known = self._calls.get(key)
        # Google's compatible endpoint writes index 0 on each of several calls.
        another = known is not None and call_id and call_id != known.id and function.name
        if known is None or another:
            if not function.name and not function.arguments:
                self._names_awaited[key] = call_id
                return
            position = self._counts.get(choice, 0)
            self._counts[choice] = position + 1
            call_id = call_id or self._names_awaited.get(key) or f"call_{choice}_{position}"
            known = self._calls[key] = _Call(position, call_id)
            name = function.name or ""
            events.append(ToolCallStarted(index=position, id=call_id, name=name, choice=choice))
        if function.arguments:
            text = wire.arguments_text(function.arguments)
            events.append(ToolCallDelta(index=known.position, arguments=text, choice=choice))


def _custom(call: wire.ToolCall) -> wire.Raw:
    told = {"index": call.index, "id": call.id, "type": call.type, "custom": call.custom}
    return wire.raw({name: value for name, value in told.items() if value is not None})


def _rest(delta: wire.Delta, index: int, events: list[Event]) -> None:
    """What few deltas have."""
    for note in delta.annotations or ():
        raw = note.copy()
        cited = url_citations.read(raw)
        events.append(CitationDelta(raw=raw, protocol=NAME, choice=index, cited=cited))
    if delta.refusal:
        events.append(RefusalDelta(text=delta.refusal, choice=index))
    audio = delta.audio
    if audio is not None and (audio.data or audio.transcript):
        data, transcript = audio.data or "", audio.transcript or ""
        events.append(AudioDelta(data=data, transcript=transcript, choice=index))


def _is_error(chunk: wire.Chunk) -> bool:
    if wire.is_set(chunk.error):
        return True
    if chunk.x_groq is not None and wire.is_set(chunk.x_groq.error):
        return True
    # vLLM: `{"object": "error", "message": …}`.
    return chunk.choices is None and wire.is_set(chunk.message)


def _tokens(raw: wire.Raw) -> wire.Raw | None:
    """The log probabilities, unless they hold no token (OpenAI's first chunk)."""
    told = wire.decode_logprobs(raw)
    return raw.copy() if told.content or told.refusal else None
