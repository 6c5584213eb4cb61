"""Ollama's JSON as types, lenient to fields that we do not know; and the decoders over them.

The only place of this codec where `Any` may stand.
"""

from typing import Any

import msgspec

from gateway.protocols.shared.raws import (
    Object,
    Raw,
    decode_object,
    encode,
    first,
    is_set,
    one_line,
    raw,
)

# Read and written through this module by the rest of the codec.
__all__ = ["Object", "Raw", "decode_object", "encode", "first", "is_set", "raw"]

NAME = "ollama"
NOTHING = Raw()
Number = int | float | None

DecodeError = msgspec.DecodeError


class Function(msgspec.Struct):
    name: str | None = None
    arguments: dict[str, Any] | str | None = None


class ToolCall(msgspec.Struct):
    id: str | None = None
    function: Function | None = None


class Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    thinking_signature: str | None = None  # ours, see the package
    tool_calls: list[ToolCall] | None = None


class Answer(msgspec.Struct):
    """A line of a stream, or a whole answer."""

    model: str | None = None
    created_at: str | None = None
    message: Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Number = None
    eval_count: Number = None
    logprobs: Raw = NOTHING
    error: Raw = NOTHING


decode_answer = msgspec.json.Decoder(Answer).decode
decode_any = msgspec.json.Decoder().decode


def arguments_text(arguments: dict[str, Any] | str | None) -> str:
    """Arguments as JSON text. Some servers send the text itself instead of the object."""
    if isinstance(arguments, str):
        return arguments
    return encode(arguments or {}).decode()


# What Python's `str.splitlines` takes for line ends, and with it the official SDK; in JSON they can
# stand inside strings alone. The first two are escaped by Ollama itself (Go's encoder does it).
_LINE_ENDS = {"\u2028".encode(): rb"\u2028", "\u2029".encode(): rb"\u2029"} | {
    "\u0085".encode(): rb"\u0085"
}


def line(value: object) -> bytes:
    """One line of a stream, whatever line ends stand in the value, raw JSON among it included."""
    data = one_line(encode(value))
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        for end, escaped in _LINE_ENDS.items():
            data = data.replace(end, escaped)
    return data + b"\n"
