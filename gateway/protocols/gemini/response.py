"""A whole answer (`GenerateContentResponse`), both ways."""

import zlib
from collections.abc import Mapping

import msgspec

from ccapi.core.usage import Usage
from gateway.ir.request import (
    Audio,
    File,
    Image,
    Media,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import GarbledStream, Told
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.citations import CITATIONS, decode_citations, encode_citations, placed
from gateway.protocols.gemini.contents_in import REDACTED, add_part, signed_thoughts
from gateway.protocols.gemini.contents_out import model_parts
from gateway.protocols.gemini.logprobs import decode_logprobs, encode_logprobs
from gateway.protocols.gemini.media import decode_media
from gateway.protocols.gemini.signatures import seal
from gateway.protocols.gemini.stops import NOT_TOLD, decode_stop, encode_stop
from gateway.protocols.gemini.usage import decode_usage, encode_usage, searches

SPOKEN_TYPE = "audio/L16;codec=pcm;rate=24000"  # what Gemini's voices speak

_TOP = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_CANDIDATE = frozenset({"content", "finishReason", "index", "logprobsResult"})


class Ids:
    """Ids for the calls of one answer, of which most have none.

    They must differ from those of earlier answers, whose calls stand in the same conversation.
    """

    def __init__(self) -> None:
        self.stem = ""
        self._count = 0

    def next(self, given: str | None) -> str:
        position = self._count
        self._count += 1
        return given or f"call_{self.stem}_{position}"


def decode_response(body: bytes) -> Response:
    """Raises: GarbledStream, for an error object too."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, GarbledStream):
            raise
        raise GarbledStream(f"Not an answer of Gemini's: {error}") from None


def _decode(body: bytes) -> Response:
    answer = wire.decode_answer(body)
    if wire.is_set(answer.error):
        raise GarbledStream("The answer is an error object.")
    kept = wire.decode_object(body)
    model = answer.model_version or ""
    ids = Ids()
    ids.stem = stem(answer, body)
    raws = wire.decode_raws(kept["candidates"]) if answer.candidates else []
    choices = [
        _choice(candidate, raws[at], at, ids)
        for at, candidate in enumerate(answer.candidates or ())
    ]
    reason = block_reason(answer)
    if reason and not choices:
        choices.append(Choice(stop="content_filter", raw_stop=reason))
    asked = sum(searches(told.grounding_metadata, model) for told in answer.candidates or ())
    extras = _rest(kept, _TOP)
    return Response(
        id=answer.response_id or "",
        model=model,
        choices=tuple(choices),
        usage=decode_usage(answer.usage_metadata, searches=asked),
        extras={wire.NAME: extras} if extras else {},
    )


def stem(answer: wire.Answer, body: bytes) -> str:
    """What is this answer's alone; the same for the same bytes."""
    if answer.response_id:
        return answer.response_id
    return f"{zlib.crc32(body):08x}"


def block_reason(answer: wire.Answer) -> str:
    """Why the prompt was blocked; "" where it was not."""
    if not wire.is_set(answer.prompt_feedback):
        return ""
    return wire.decode_feedback(answer.prompt_feedback).block_reason or ""


def _rest(kept: Mapping[str, wire.Raw], known: frozenset[str]) -> dict[str, wire.Raw]:
    return {
        name: value.copy()
        for name, value in kept.items()
        if name not in known and wire.is_set(value)
    }


def _choice(candidate: wire.Candidate, raw: wire.Raw, position: int, ids: Ids) -> Choice:
    parts: list[Part] = []
    index = 0
    said = ""
    starts: list[int] = []  # where each part begins in the text, in bytes
    for part_raw in (candidate.content.parts if candidate.content else None) or ():
        starts.append(len(said.encode()) if wire.is_set(candidate.grounding_metadata) else 0)
        for part in decode_part(part_raw, ids):
            said += part.text if isinstance(part, Text) else ""
            if isinstance(part, ToolCall):
                part = msgspec.structs.replace(part, index=index)  # noqa: PLW2901
                index += 1
            add_part(parts, part)
    placed(
        parts,
        decode_citations(candidate.grounding_metadata, candidate.citation_metadata, said, starts),
    )
    word = told_reason(candidate)
    extras = _rest(wire.decode_object(raw), _CANDIDATE)
    return Choice(
        index=position if candidate.index is None else candidate.index,
        parts=tuple(parts),
        stop=decode_stop(word, has_calls=index > 0) if word else None,
        raw_stop=word,
        logprobs=decode_logprobs(candidate.logprobs_result),
        extras={wire.NAME: extras} if extras else {},
    )


def told_reason(candidate: wire.Candidate) -> str:
    word = candidate.finish_reason or ""
    return "" if word == NOT_TOLD else word


def decode_part(raw: wire.Raw, ids: Ids) -> list[Part]:
    """A part of an answer, its signature in front of it. Raises: msgspec.DecodeError."""
    part = wire.decode_part(raw)
    signature = part.thought_signature or ""
    if part.function_call is not None:
        return [*signed_thoughts("", signature), _call(part.function_call, ids)]
    if part.text is not None or (part.inline_data is None and part.thought):
        text = part.text or ""
        if part.thought:
            return signed_thoughts(text, signature)
        return [*signed_thoughts("", signature), *([Text(text=text)] if text else [])]
    if part.inline_data is not None:
        blob = part.inline_data
        media = decode_media(Media(data=blob.data or ""), blob.mime_type or "")
        return [*signed_thoughts("", signature), media]
    fields = wire.decode_object(raw)
    kind = next((name for name in fields if name not in ("thought", "thoughtSignature")), "")
    if not kind:
        return signed_thoughts("", signature)
    return [Other(protocol=wire.NAME, kind=kind, raw=raw.copy())]


def _call(call: wire.FunctionCall, ids: Ids) -> ToolCall:
    arguments = bytes(call.args).decode() if wire.is_set(call.args) else "{}"
    return ToolCall(id=ids.next(call.id), name=call.name or "", arguments=arguments)


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    """A `GenerateContentResponse` with CCAPI's fields."""
    kept = dict(response.extras.get(wire.NAME, {}))
    body: wire.Json = {}
    blocked = "promptFeedback" in kept and not response.has_content()
    if not blocked:
        body["candidates"] = [_encode_choice(choice) for choice in response.choices]
    body["usageMetadata"] = encode_usage(usage, costs)
    body["modelVersion"] = told.model
    body["responseId"] = response.id or told.id
    return wire.encode(body | kept)


def _encode_choice(choice: Choice) -> wire.Json:
    candidate: wire.Json = {
        "content": {"role": "model", "parts": answer_parts(choice.parts)},
        "finishReason": encode_stop(choice.stop, choice.raw_stop),
        "index": choice.index,
    }
    if choice.logprobs is not None:
        logprobs = encode_logprobs(choice.logprobs)
        if logprobs is not None:
            candidate["logprobsResult"] = logprobs
    texts = [part for part in choice.parts if isinstance(part, Text)]
    cited = [one for text in texts for one in text.cited]
    own = choice.extras.get(wire.NAME, {})
    if cited and not own.keys() & CITATIONS:
        candidate |= encode_citations(cited, "".join(text.text for text in texts))
    return candidate | own


def answer_parts(parts: tuple[Part, ...]) -> list[wire.Json]:
    """Parts for a client: Gemini's own as in its history, those of others under a seal."""
    told: list[wire.Json] = []
    run: list[Part] = []  # of what Gemini's own history may hold
    for part in parts:
        foreign = foreign_thoughts(part)
        if foreign is None:
            run.append(_sayable(part))
        else:
            told += model_parts(run, {})
            run.clear()
            told.append(foreign)
    return told + model_parts(run, {})


def foreign_thoughts(part: Part) -> wire.Json | None:
    """Thoughts that another protocol signed, as a part that comes back as it is."""
    match part:
        case Reasoning() if part.signature and part.signed_by != wire.NAME:
            signature = seal(part.signature, part.signed_by)
            return {"text": part.text, "thought": True, "thoughtSignature": signature}
        case RedactedReasoning():
            signature = seal(part.data, part.signed_by + REDACTED)
            return {"text": "", "thought": True, "thoughtSignature": signature}
    return None


def _sayable(part: Part) -> Part:
    match part:
        case Reasoning():
            # Unsigned, whoever thought it.
            return part if part.signature else Reasoning(text=part.text)
        case Refusal():
            return Text(text=part.text)
        case Audio() if not part.source.data:
            return Text(text=part.transcript)
        case Audio() if not part.source.media_type:
            return Audio(source=Media(data=part.source.data, media_type=SPOKEN_TYPE))
        case Image() | File() if part.source.file_id:
            return Text(text=part.source.file_id)
    return part
