"""Whole answers: Anthropic's `message` ↔ our `Response`.

An answer of this protocol has one choice; of others only the first is told.
"""

import msgspec

from ccapi.core.errors import InvalidRequest
from ccapi.core.usage import Usage
from gateway.ir.request import (
    Audio,
    Other,
    Part,
    Reasoning,
    RedactedReasoning,
    Refusal,
    Text,
    ToolCall,
)
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.blocks import decode_block, number_calls
from gateway.protocols.anthropic.citations import placed, text_blocks
from gateway.protocols.anthropic.signatures import seal
from gateway.protocols.anthropic.stops import decode_stop, encode_stop
from gateway.protocols.anthropic.turns import encode_call
from gateway.protocols.anthropic.usage import decode_usage, encode_usage
from gateway.protocols.base import GarbledStream, Told


def decode_response(body: bytes) -> Response:
    """Raises: GarbledStream."""
    try:
        message = wire.decode_message(body)
        content = message.content or ()
        blocks = [decode_block(raw, f"content.{i}") for i, raw in enumerate(content)]
        usage = None if wire.absent(message.usage) else decode_usage(message.usage)
    except (InvalidRequest, ValueError, OverflowError) as error:
        raise GarbledStream(f"Not an answer of Anthropic's protocol: {error}") from error
    if message.content is None or message.type not in ("message", ""):
        raise GarbledStream(f"Not an answer of type message but of {message.type!r}.")
    word = message.stop_reason or ""
    choice = Choice(
        parts=number_calls(placed(blocks)),
        stop=decode_stop(word) if word else None,
        raw_stop=word,
        stop_sequence=message.stop_sequence or "",
    )
    return Response(id=message.id, model=message.model, choices=(choice,), usage=usage)


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    choice = response.choices[0] if response.choices else Choice()
    blocks = encode_blocks(choice.parts)
    calls = any(isinstance(part, ToolCall) for part in choice.parts)
    message = {
        "id": response.id or told.id,
        "type": "message",
        "role": "assistant",
        "model": told.model,
        "content": blocks,
        "stop_reason": encode_stop(choice.stop, choice.raw_stop, calls=calls),
        "stop_sequence": choice.stop_sequence or None,
        "usage": encode_usage(usage, costs),
    }
    return wire.encode(message)


def encode_blocks(parts: tuple[Part, ...]) -> list[wire.Json | msgspec.Raw]:
    """The parts of an answer; nothing of what has no block (sound, pictures, others' own)."""
    blocks: list[wire.Json | msgspec.Raw] = []
    length = 0
    for part in parts:
        if isinstance(part, Text):
            blocks += text_blocks(part, length)
            length += len(part.text)
        elif (block := _block(part)) is not None:
            blocks.append(block)
    return blocks


def _block(part: Part) -> wire.Json | msgspec.Raw | None:
    match part:
        case Refusal():
            return {"type": "text", "text": part.text}
        case Audio() if part.transcript:
            return {"type": "text", "text": part.transcript}
        case Reasoning():
            signature = seal(part.signature, part.signed_by)
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        case RedactedReasoning():
            return {"type": "redacted_thinking", "data": seal(part.data, part.signed_by)}
        case ToolCall():
            return encode_call(part)
        case Other() if part.protocol == wire.NAME:
            return part.raw
    return None
