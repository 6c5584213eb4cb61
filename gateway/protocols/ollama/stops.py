"""Why an answer ended: Ollama's words to ours and back. It has none for tool calls."""

from gateway.ir.response import StopReason

_DECODED: dict[str, StopReason] = {"stop": "stop", "length": "length"}


def decode_stop(word: str | None, *, has_calls: bool) -> StopReason:
    reason = _DECODED.get(word or "stop", "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def encode_stop(reason: StopReason | None) -> str:
    return "length" if reason == "length" else "stop"
