"""Why an answer ended: the words of OpenAI and its compatible vendors, to ours and back."""

from gateway.ir.response import StopReason

# OpenAI's own words first; then what vendors of this protocol send besides.
_DECODED: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "tool_use": "tool_calls",
    "sensitive": "content_filter",  # Z.ai
    "safety": "content_filter",
}

_ENCODED: dict[StopReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "other": "stop",
}

# The vendor broke off: no answer, whatever came before. Sources: OpenRouter "Errors and Debugging"
# (`error`), Z.ai "Chat Completion" (`network_error`), DeepSeek "Create Chat Completion" (the
# third).
BROKEN = frozenset({"error", "network_error", "insufficient_system_resource"})


def decode_stop(word: str, matched: int | str | None, *, has_calls: bool) -> tuple[StopReason, str]:
    """The reason, and the stop string that matched where the vendor told it (vLLM's `stop_reason`).

    With a forced tool OpenAI itself says `stop` beside tool calls; an agent would then not run
    them.
    """
    reason = _DECODED.get(word.lower(), "other")
    if reason == "stop" and has_calls:
        return "tool_calls", ""
    if reason == "stop" and isinstance(matched, str) and matched:
        return "stop_sequence", matched
    return reason, ""


def encode_stop(reason: StopReason | None) -> str:
    return _ENCODED[reason] if reason is not None else "stop"
