"""Whole answers, both ways.

Vendors that spell thoughts otherwise (`reasoning`, Mistral's content parts, OpenRouter's details)
are all read; a client gets `reasoning_content`, and `reasoning_details` where a signature must come
back (see `reasoning`).
"""

from typing import Literal

import msgspec

from ccapi.core.usage import Usage
from gateway.ir.request import (
    Audio,
    Citation,
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
from gateway.protocols.openai_chat import reasoning, wire
from gateway.protocols.openai_chat.messages_in import NAME
from gateway.protocols.openai_chat.stops import BROKEN, decode_stop, encode_stop
from gateway.protocols.openai_chat.usage import decode_usage, encode_usage
from gateway.protocols.shared import url_citations

# Said anew on the way out, so not kept.
_TOP = frozenset({"id", "object", "created", "model", "choices", "usage", "provider", "error"})
_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs", "stop_reason"})


class WireChoice(msgspec.Struct):
    message: wire.Message | None = None
    index: int | None = None
    finish_reason: str | None = None
    logprobs: wire.Raw = wire.NOTHING
    stop_reason: int | str | None = None


class Head(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[wire.Raw] | None = None
    usage: wire.Raw = wire.NOTHING
    error: wire.Raw = wire.NOTHING


class PlainMessage(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None


class PlainWireChoice(msgspec.Struct, forbid_unknown_fields=True):
    message: PlainMessage
    finish_reason: str
    index: Literal[0] = 0
    logprobs: None = None


class Plain(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that is a text and nothing else that means anything, as most are."""

    choices: tuple[PlainWireChoice]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    usage: wire.Raw = wire.NOTHING
    system_fingerprint: wire.Raw = wire.NOTHING
    service_tier: wire.Raw = wire.NOTHING


_decode_plain = msgspec.json.Decoder(Plain).decode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_choice = msgspec.json.Decoder(WireChoice).decode


def decode_response(body: bytes) -> Response:
    """Raises: GarbledStream for what is no answer of this protocol, an error object included."""
    # A strict parse that succeeds says all; what it does not know is for the lenient one.
    try:
        plain = _decode_plain(body)
    except msgspec.DecodeError:
        pass
    else:
        if plain.choices[0].finish_reason not in BROKEN:
            return _plain(plain)
    try:
        head = _decode_head(body)
        if wire.is_set(head.error):
            raise GarbledStream("The answer is an error object.")
        if not head.choices:
            raise GarbledStream("The answer has no choices.")
        choices = tuple(_choice(raw, position) for position, raw in enumerate(head.choices))
        kept = wire.decode_object(body)
    except msgspec.DecodeError as error:
        raise GarbledStream(f"Not a chat completion: {error}") from None
    extras = {
        name: value.copy()
        for name, value in kept.items()
        if name not in _TOP and wire.is_set(value)
    }
    return Response(
        id=head.id or "",
        model=head.model or "",
        choices=choices,
        created=int(head.created or 0),
        usage=decode_usage(head.usage),
        extras={NAME: extras} if extras else {},
    )


def _plain(answer: Plain) -> Response:
    choice = answer.choices[0]
    word, text = choice.finish_reason, choice.message.content
    stop, _ = decode_stop(word, None, has_calls=False)
    extras: dict[str, wire.Raw] = {}
    if wire.is_set(answer.system_fingerprint):
        extras["system_fingerprint"] = answer.system_fingerprint.copy()
    if wire.is_set(answer.service_tier):
        extras["service_tier"] = answer.service_tier.copy()
    parts = (Text(text=text),) if text else ()
    return Response(
        id=answer.id or "",
        model=answer.model or "",
        choices=(Choice(parts=parts, stop=stop if word else None, raw_stop=word),),
        created=answer.created or 0,
        usage=decode_usage(answer.usage),
        extras={NAME: extras} if extras else {},
    )


def _choice(raw: wire.Raw, position: int) -> Choice:
    choice = _decode_choice(raw)
    if choice.message is None:
        raise GarbledStream(f"Choice {position} has no message.")
    word = choice.finish_reason or ""
    if word in BROKEN:
        raise GarbledStream(f"The provider broke the answer off: {word}.")
    parts = _parts(choice.message)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    stop, matched = decode_stop(word, choice.stop_reason, has_calls=has_calls)
    extras = {
        name: value.copy()
        for name, value in wire.decode_object(raw).items()
        if name not in _CHOICE and wire.is_set(value)
    }
    audio = choice.message.audio
    if audio is not None and audio.id:
        extras["audio"] = wire.raw({"id": audio.id, "expires_at": audio.expires_at or 0})
    return Choice(
        index=position if choice.index is None else choice.index,
        parts=parts,
        stop=stop if word else None,
        raw_stop=word,
        stop_sequence=matched,
        logprobs=choice.logprobs.copy() if wire.is_set(choice.logprobs) else None,
        extras={NAME: extras} if extras else {},
    )


def _parts(message: wire.Message) -> tuple[Part, ...]:
    text, thoughts = read_content(message.content)
    thoughts = message.reasoning_content or message.reasoning or thoughts
    parts: list[Part] = []
    details = message.reasoning_details
    if wire.is_set(details):
        thoughts = thoughts or reasoning.text_of(details)
        if thoughts:
            parts.append(Reasoning(text=thoughts))
        parts.append(Other(protocol=NAME, kind="reasoning_details", raw=details.copy()))
    elif thoughts:
        parts.append(Reasoning(text=thoughts))
    notes = tuple(note.copy() for note in message.annotations or ())
    if text or notes:
        cited = tuple(one for note in notes for one in url_citations.read(note))
        parts.append(
            Text(text=text, citations=notes, citations_of=NAME if notes else "", cited=cited)
        )
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    audio = message.audio
    if audio is not None and (audio.data or audio.transcript):
        parts.append(Audio(source=Media(data=audio.data or ""), transcript=audio.transcript or ""))
    for position, raw in enumerate(message.tool_calls or ()):
        parts.append(_tool_call(raw, position))
    legacy = message.function_call
    if legacy is not None and legacy.name and not message.tool_calls:
        arguments = wire.arguments_text(legacy.arguments)
        parts.append(ToolCall(id="call_legacy_0", name=legacy.name, arguments=arguments))
    return tuple(parts)


def _tool_call(raw: wire.Raw, position: int) -> Part:
    call = wire.decode_tool_call(raw)
    if call.function is None:
        return Other(protocol=NAME, kind="tool_call", raw=raw.copy())
    return ToolCall(
        id=call.id or f"call_{position}",
        name=call.function.name or "",
        arguments=wire.arguments_text(call.function.arguments),
        index=position,
    )


def read_content(content: wire.Content) -> tuple[str, str]:
    """Text and thoughts of a content, which is text, or parts (Mistral's thinking models)."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    text: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            if isinstance(inner, str):
                thoughts.append(inner)
            elif isinstance(inner, list):
                thoughts += [str(piece["text"]) for piece in inner if "text" in piece]
        elif isinstance(part.get("text"), str):
            text.append(part["text"])
    return "".join(text), "".join(thoughts)


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    """A `chat.completion` with CCAPI's fields."""
    body: dict[str, object] = {
        "id": response.id or told.id,
        "object": "chat.completion",
        "created": response.created or told.created,
        "model": told.model,
        "provider": told.provider,
        "choices": [_encode_choice(choice, response.id or told.id) for choice in response.choices],
        "usage": wire.Raw(encode_usage(usage, costs)),
    }
    for name, value in response.extras.get(NAME, {}).items():
        body.setdefault(name, value)
    return wire.encode(body)


def _encode_choice(choice: Choice, response_id: str) -> dict[str, object]:
    kept = dict(choice.extras.get(NAME, {}))
    audio_told = kept.pop("audio", None)
    message = _encode_message(choice.parts)
    if "audio" in message:
        told = {"id": wire.raw(f"audio_{response_id}"), "expires_at": wire.raw(0)}
        if audio_told is not None:
            told = wire.decode_object(audio_told)
        message["audio"] = {**told, **_as_table(message["audio"])}
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": encode_stop(choice.stop),
        # vLLM's word for the stop string that matched: OpenAI has none.
        **({"stop_reason": choice.stop_sequence} if choice.stop_sequence else {}),
        **kept,
    }


def _as_table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _encode_message(parts: tuple[Part, ...]) -> dict[str, object]:
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    thoughts = "".join(part.text for part in parts if isinstance(part, Reasoning))
    notes = [note for text in texts for note in _notes(text)]
    audio = [
        {"data": part.source.data, "transcript": part.transcript}
        for part in parts
        if isinstance(part, Audio)
    ]
    calls = _calls(parts)
    details = _details(parts)
    # A call, a refusal or audio stands without text; else a text is always there, if empty.
    bare = not texts and (calls or refusal or audio)
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if bare else "".join(text.text for text in texts),
        "refusal": refusal or None,
        "reasoning_content": thoughts,
        "reasoning_details": details,
        "annotations": notes,
        "audio": audio[0] if audio else None,
        "tool_calls": calls,
    }
    always = ("role", "content", "refusal")
    return {name: value for name, value in message.items() if value or name in always}


def _notes(text: Text) -> list[object]:
    """Annotations: this protocol's own as they came, of others those of web pages."""
    if text.citations_of == NAME:
        return list(text.citations)
    return [annotation(cited) for cited in text.cited if cited.url]


def annotation(cited: Citation) -> dict[str, object]:
    return {"type": url_citations.KIND, url_citations.KIND: url_citations.written(cited)}


def _calls(parts: tuple[Part, ...]) -> list[object]:
    calls: list[object] = []
    for part in parts:
        match part:
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Other() if part.protocol == NAME and part.kind == "tool_call":
                calls.append(part.raw)
            case _:
                pass
    return calls


def _details(parts: tuple[Part, ...]) -> list[wire.Raw]:
    """Signed thoughts of other protocols, and what an upstream of this one sent of its own."""
    details: list[wire.Raw] = []
    for part in parts:
        index = len(details)
        match part:
            case Reasoning() if part.signature and part.signed_by != NAME:
                text, signature = part.text, part.signature
                details.append(reasoning.text_entry(text, signature, part.signed_by, index))
            case RedactedReasoning():
                details.append(reasoning.encrypted_entry(part.data, part.signed_by, index))
            case Other() if part.protocol == NAME and part.kind == "reasoning_details":
                details += wire.decode_raws(part.raw)
            case _:
                pass
    return details
