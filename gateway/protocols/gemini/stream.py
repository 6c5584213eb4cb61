"""An upstream's stream of Gemini's chunks → our events.

Every chunk is a whole `GenerateContentResponse`; a call comes in one piece. Gemini has no end
marker: an answer is complete where every candidate that began told its `finishReason` (or the
prompt was blocked) and then the body ended properly, which the walk tells by an empty frame. So a
chunk that holds only the usage, after the last reason, is not lost.
"""

import msgspec

from gateway.ir.events import (
    AudioDelta,
    CitationDelta,
    Completed,
    Event,
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
from gateway.ir.request import (
    Audio,
    Citation,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Text,
    ToolCall,
)
from gateway.protocols.base import Frame, GarbledStream
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.citations import CITATIONS, decode_citations
from gateway.protocols.gemini.errors import failure_in_stream
from gateway.protocols.gemini.logprobs import decode_logprobs
from gateway.protocols.gemini.response import Ids, block_reason, decode_part, stem, told_reason
from gateway.protocols.gemini.stops import decode_stop
from gateway.protocols.gemini.usage import decode_usage, searches


class Decoder:
    """See `StreamDecoder`."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._model = ""
        self._ids = Ids()
        self._seen: set[int] = set()  # choices
        self._stopped: set[int] = set()
        self._calls: dict[int, int] = {}  # choice → calls so far
        self._searches: dict[int, int] = {}
        self._texts: dict[int, list[str]] = {}
        self._known: dict[int, set[Citation]] = {}

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """Raises: GarbledStream."""
        if not frame.data:
            return () if frame.raw else self._body_ended()
        if self._ended:
            return ()
        try:
            return self._events(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GarbledStream(f"Not a chunk of Gemini's: {error}") from None

    def _body_ended(self) -> tuple[Event, ...]:
        if self._ended or not self._stopped or self._seen - self._stopped:
            return ()
        self._ended = True
        return (Completed(),)

    def _events(self, data: bytes) -> tuple[Event, ...]:
        chunk = wire.decode_answer(data)
        if wire.is_set(chunk.error):
            self._ended = True
            return (failure_in_stream(data),)
        events: list[Event] = []
        if not self._started:
            self._start(chunk, data, events)
        for position, candidate in enumerate(chunk.candidates or ()):
            self._candidate(candidate, position, events)
        reason = block_reason(chunk)
        if reason and not self._seen:
            self._seen.add(0)
            self._stopped.add(0)
            events.append(Stopped(reason="content_filter", raw_reason=reason))
        # Each chunk repeats the counts: the first and those at the end are enough.
        if self._stopped or not chunk.candidates:
            told = chunk.usage_metadata
            if wire.is_set(told):
                usage = decode_usage(told, searches=sum(self._searches.values()))
                events.append(UsageReported(usage=usage))
        return tuple(events)

    def _start(self, chunk: wire.Answer, data: bytes, events: list[Event]) -> None:
        self._started = True
        self._model = chunk.model_version or ""
        self._ids.stem = stem(chunk, data)
        usage = decode_usage(chunk.usage_metadata)
        events.append(Started(id=chunk.response_id or "", model=self._model, usage=usage))

    def _candidate(self, candidate: wire.Candidate, position: int, events: list[Event]) -> None:
        choice = position if candidate.index is None else candidate.index
        self._seen.add(choice)
        logprobs = decode_logprobs(candidate.logprobs_result)
        for raw in (candidate.content.parts if candidate.content else None) or ():
            for part in decode_part(raw, self._ids):
                self._part(part, raw, choice, logprobs, events)
                if isinstance(part, Text):
                    logprobs = None
        if logprobs is not None:
            events.append(TextDelta(text="", choice=choice, logprobs=logprobs))
        if wire.is_set(candidate.grounding_metadata):
            self._searches[choice] = searches(candidate.grounding_metadata, self._model)
        if wire.is_set(candidate.grounding_metadata) or wire.is_set(candidate.citation_metadata):
            events.append(self._cited(candidate, choice))
        word = told_reason(candidate)
        if word and choice not in self._stopped:
            self._stopped.add(choice)
            reason = decode_stop(word, has_calls=choice in self._calls)
            events.append(Stopped(reason=reason, raw_reason=word, choice=choice))

    def _cited(self, candidate: wire.Candidate, choice: int) -> CitationDelta:
        """Chunks may repeat what earlier ones named: for other protocols each is told once."""
        text = "".join(self._texts.get(choice, ()))
        found = decode_citations(candidate.grounding_metadata, candidate.citation_metadata, text)
        known = self._known.setdefault(choice, set())
        new = tuple(one for one in found if one not in known)
        known.update(new)
        return CitationDelta(
            raw=_citations(candidate), protocol=wire.NAME, choice=choice, cited=new
        )

    def _part(
        self,
        part: Part,
        raw: wire.Raw,
        choice: int,
        logprobs: wire.Raw | None,
        events: list[Event],
    ) -> None:
        match part:
            case Text():
                self._texts.setdefault(choice, []).append(part.text)
                events.append(TextDelta(text=part.text, choice=choice, logprobs=logprobs))
            case Reasoning():
                if part.text:
                    events.append(ReasoningDelta(text=part.text, choice=choice))
                if part.signature:
                    events.append(
                        SignatureDelta(
                            signature=part.signature, signed_by=part.signed_by, choice=choice
                        )
                    )
            case RedactedReasoning():
                events.append(
                    RedactedReasoningBlock(data=part.data, signed_by=part.signed_by, choice=choice)
                )
            case ToolCall():
                index = self._calls.get(choice, 0)
                self._calls[choice] = index + 1
                events += (
                    ToolCallStarted(index=index, id=part.id, name=part.name, choice=choice),
                    ToolCallDelta(index=index, arguments=part.arguments, choice=choice),
                )
            case Audio():
                events.append(AudioDelta(data=part.source.data, choice=choice))
            case _:
                kind = part.kind if isinstance(part, Other) else "inlineData"
                events.append(
                    OtherBlock(protocol=wire.NAME, kind=kind, raw=raw.copy(), choice=choice)
                )


def _citations(candidate: wire.Candidate) -> wire.Raw:
    told = (candidate.grounding_metadata, candidate.citation_metadata)
    return wire.raw({name: raw for name, raw in zip(CITATIONS, told, strict=True) if raw})
