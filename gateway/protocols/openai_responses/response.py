"""Whole answers, both ways.

An answer's items become parts in their order; items that only this protocol knows (a search that
the vendor ran) stay raw. A client gets the object that the official SDK's types describe, which
repeats much of what was asked (`echo`).
"""

import msgspec

from ccapi.core.usage import Usage
from gateway.ir.events import Failed
from gateway.ir.request import (
    Audio,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import GarbledStream, Told
from gateway.protocols.openai_responses import echo, items, signatures, wire
from gateway.protocols.openai_responses.namespaces import Names, joined
from gateway.protocols.openai_responses.stops import UNFINISHED, decode_stop
from gateway.protocols.openai_responses.tools import custom_input, custom_names
from gateway.protocols.openai_responses.usage import decode_usage, encode_usage
from gateway.protocols.openai_responses.wire import NAME, Wire
from gateway.protocols.shared import url_citations

__all__ = ["Failed", "decode_parts", "decode_response", "encode_response"]


def decode_response(body: bytes) -> Response:
    """Raises: GarbledStream for what is no finished answer, an error object included."""
    try:
        answer = wire.decode_answer(body)
        if wire.is_set(answer.error):
            raise GarbledStream("The answer is an error object.")
        if answer.output is None or answer.status in UNFINISHED:
            raise GarbledStream("The answer is not finished.")
        parts = decode_parts(answer.output)
    except msgspec.DecodeError as error:
        raise GarbledStream(f"Not a response object: {error}") from None
    stop, raw_stop = decode_stop(answer, has_calls=_has_calls(parts))
    choice = Choice(parts=parts, stop=stop, raw_stop=raw_stop, logprobs=_logprobs(answer.output))
    return Response(
        id=answer.id or "",
        model=answer.model or "",
        choices=(choice,),
        created=int(answer.created_at or 0),
        usage=decode_usage(answer.usage),
    )


def _has_calls(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ToolCall) for part in parts)


def decode_parts(output: list[wire.Raw]) -> tuple[Part, ...]:
    """Raises: msgspec.DecodeError."""
    parts: list[Part] = []
    calls = said = 0  # characters of text
    for raw in output:
        kind = wire.decode_tag(raw).type
        if kind not in items.KNOWN:
            parts.append(Other(protocol=NAME, kind=kind, raw=wire.Raw(bytes(raw))))
            continue
        item = wire.decode_item(raw)
        if kind in items.CALLS:
            parts.append(_call(item, calls))
            calls += 1
        elif kind == "reasoning":
            parts.append(_thoughts(item))
        else:
            for part in _said(item, said):
                parts.append(part)
                said += len(part.text)
    return tuple(parts)


def _call(item: wire.Item, position: int) -> ToolCall:
    custom = item.type == items.CUSTOM_CALL
    arguments = item.arguments or ""
    if custom:
        arguments = wire.encode({"input": item.input or ""}).decode()
    kept = {"type": wire.raw(items.CUSTOM_CALL)} if custom else {}
    return ToolCall(
        id=item.call_id or item.id or f"call_{position}",
        name=joined(item.namespace or "", item.name or ""),
        arguments=arguments,
        index=position,
        extras={NAME: kept} if kept else {},
    )


def _thoughts(item: wire.Item) -> Reasoning | RedactedReasoning:
    return signatures.thoughts(
        item_id=item.id or "",
        encrypted=item.encrypted_content or "",
        summary=items.joined(item.summary),
        content=items.joined(item.content),
    )


def _said(item: wire.Item, text_start: int) -> list[Text | Refusal]:
    said: list[Text | Refusal] = []
    for content in item.content or []:
        if content.type == "refusal":
            said.append(Refusal(text=content.refusal or ""))
        elif content.text or content.annotations:
            notes = tuple(note.copy() for note in content.annotations or ())
            text = content.text or ""
            start = text_start + sum(len(part.text) for part in said)
            cited = tuple(one for note in notes for one in url_citations.read(note, start))
            owner = NAME if notes else ""
            said.append(Text(text=text, citations=notes, citations_of=owner, cited=cited))
    return said


def _logprobs(output: list[wire.Raw]) -> wire.Raw | None:
    """Log probabilities of all texts, in the shape in which our types hold them."""
    tokens: list[wire.Raw] = []
    for raw in output:
        if wire.decode_tag(raw).type == "message":
            for content in wire.decode_item(raw).content or []:
                tokens += [token.copy() for token in content.logprobs or ()]
    return wire.raw({"content": tokens}) if tokens else None


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    """A response object with the costs in its usage."""
    choice = response.choices[0] if response.choices else Choice()
    answer_id = items.answer_id(response.id, told)
    writer = _Writer(answer_id, told.request, choice.logprobs)
    for part in choice.parts:
        writer.add(part)
    created = response.created or told.created
    body = echo.response_object(answer_id, told, created)
    body |= echo.ended(choice.stop)
    body["output"] = writer.finish()
    body["usage"] = encode_usage(usage, costs)
    return wire.encode(body)


class _Writer:
    """Parts → output items: texts and refusals that stand together are one message."""

    def __init__(self, answer_id: str, request: Request | None, logprobs: wire.Raw | None) -> None:
        self._ids = items.Ids(answer_id)
        self._customs = custom_names(request)
        self._names = Names(request)
        self._output: list[object] = []
        self._content: list[Wire] = []
        self._said = 0  # characters of text
        self._logprobs = items.tokens_of(logprobs)

    def add(self, part: Part) -> None:
        match part:
            case Text():
                notes = self._notes(part)
                tokens, self._logprobs = self._logprobs, []
                self._content.append(items.text_part(part.text, notes, tokens))
                self._said += len(part.text)
            case Refusal():
                self._content.append(items.refusal_part(part.text))
            case Audio() if part.transcript:
                self._content.append(items.text_part(part.transcript, [], []))
            case ToolCall():
                self._end_message()
                self._output.append(self._call(part))
            case Reasoning() | RedactedReasoning():
                self._end_message()
                self._output.append(self._thoughts(part))
            case Other() if part.protocol == NAME:
                self._end_message()
                self._output.append(part.raw)
            case _:
                pass

    def _notes(self, text: Text) -> list[wire.Raw]:
        if text.citations_of == NAME:
            return list(text.citations)
        return [items.annotation(cited, self._said) for cited in text.cited if cited.url]

    def finish(self) -> list[object]:
        self._end_message()
        return self._output

    def _end_message(self) -> None:
        if self._content:
            self._output.append(items.message(self._ids.next("msg"), self._content))
            self._content = []

    def _call(self, part: ToolCall) -> Wire:
        named = self._names.known({"call_id": part.id, "name": part.name})
        if part.name in self._customs:
            told = custom_input(part.arguments)
            return items.custom_call(self._ids.next("ctc"), named, told)
        return items.function_call(self._ids.next("fc"), named, part.arguments)

    def _thoughts(self, part: Reasoning | RedactedReasoning) -> Wire:
        if isinstance(part, RedactedReasoning):
            sealed = signatures.seal_redacted(part.data, part.signed_by)
            return items.reasoning(self._ids.next("rs"), "", sealed)
        if part.signed_by == NAME:
            return items.own_reasoning(part.text, signatures.own(part.signature))
        sealed = signatures.seal(part.signature, part.signed_by)
        return items.reasoning(self._ids.next("rs"), part.text, sealed)
