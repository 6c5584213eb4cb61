"""Whole answers, both ways."""

import zlib
from datetime import UTC, datetime

from ccapi.core.usage import Usage
from gateway.ir.request import Part, Reasoning, Refusal, Text, ToolCall
from gateway.ir.response import Choice, Costs, Response
from gateway.protocols.base import GarbledStream, Told
from gateway.protocols.ollama import wire
from gateway.protocols.ollama.logprobs import decode_logprobs, encode_logprobs
from gateway.protocols.ollama.messages import seal
from gateway.protocols.ollama.stops import decode_stop, encode_stop
from gateway.protocols.ollama.usage import decode_usage, encode_usage
from gateway.protocols.ollama.wire import NAME


def decode_response(body: bytes) -> Response:
    """Raises: GarbledStream for what is no answer of this protocol, an error object included."""
    try:
        answer = wire.decode_answer(body)
    except wire.DecodeError as error:
        raise GarbledStream(f"Not an answer of Ollama: {error}") from None
    if wire.is_set(answer.error):
        raise GarbledStream("The answer is an error object.")
    if answer.message is None or not answer.done:
        raise GarbledStream("The answer has no message, or is not done.")
    parts = _parts(answer.message, Ids(answer.created_at))
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(
        parts=parts,
        stop=decode_stop(answer.done_reason, has_calls=has_calls),
        raw_stop=answer.done_reason or "",
        logprobs=decode_logprobs(answer.logprobs),
    )
    return Response(
        id="",
        model=answer.model or "",
        choices=(choice,),
        created=epoch(answer.created_at),
        usage=decode_usage(answer),
    )


class Ids:
    """Ids for the calls of one answer, which older servers give none.

    They must differ from those of earlier answers, whose calls stand in the same conversation; the
    time at which an answer began (in nanoseconds) is what Ollama says of no other.
    """

    def __init__(self, began: str | None) -> None:
        self._stem = f"{zlib.crc32((began or '').encode()):08x}"
        self._count = 0

    def next(self, given: str | None) -> str:
        position = self._count
        self._count += 1
        return given or f"call_{self._stem}_{position}"


def _parts(message: wire.Message, ids: Ids) -> tuple[Part, ...]:
    parts: list[Part] = []
    if message.thinking:
        parts.append(Reasoning(text=message.thinking))
    if message.content:
        parts.append(Text(text=message.content))
    for position, call in enumerate(message.tool_calls or ()):
        function = call.function or wire.Function()
        parts.append(
            ToolCall(
                id=ids.next(call.id),
                name=function.name or "",
                arguments=wire.arguments_text(function.arguments),
                index=position,
            )
        )
    return tuple(parts)


def encode_response(response: Response, told: Told, usage: Usage, costs: Costs) -> bytes:
    """The one line of an answer that does not stream."""
    choice = response.choices[0] if response.choices else Choice()
    message = encode_message(choice.parts)
    body: dict[str, object] = {**head(told, response.created), "message": message}
    body |= encode_logprobs(choice.logprobs)
    return wire.encode(body | tail(choice, usage, costs))


def encode_message(parts: tuple[Part, ...]) -> dict[str, object]:
    text = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    message: dict[str, object] = {"role": "assistant", "content": text}
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    if thoughts:
        message["thinking"] = "".join(part.text for part in thoughts)
    signed = [part for part in thoughts if part.signature and part.signed_by != NAME]
    if signed:
        message["thinking_signature"] = seal(signed[-1].signature, signed[-1].signed_by)
    calls = [encode_call(part) for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = calls
    return message


def encode_call(call: ToolCall) -> dict[str, object]:
    """Arguments as the object that their text is; a text that is none under one name."""
    try:
        wire.decode_object(call.arguments.encode() or b"{}")
        arguments: object = wire.Raw(call.arguments.encode() or b"{}")
    except (wire.DecodeError, RecursionError):
        arguments = {"input": call.arguments}
    return {
        "id": call.id,
        "function": {"index": call.index, "name": call.name, "arguments": arguments},
    }


def head(told: Told, created: int = 0) -> dict[str, object]:
    at = datetime.fromtimestamp(created or told.created, UTC)
    return {"model": told.model, "created_at": at.isoformat().replace("+00:00", "Z")}


def tail(choice: Choice, usage: Usage, costs: Costs) -> dict[str, object]:
    """What ends an answer. The durations are the provider's own affair, and not told."""
    return {
        "done": True,
        "done_reason": encode_stop(choice.stop),
        **encode_usage(usage, costs),
    }


def epoch(text: str | None) -> int:
    """Seconds of an RFC 3339 time with any number of digits; 0 where there is none."""
    if not text or len(text) < len("2026-01-01T00:00:00"):
        return 0
    try:
        at = datetime.fromisoformat(text[:19])
    except ValueError:
        return 0
    return int(at.replace(tzinfo=UTC).timestamp())
