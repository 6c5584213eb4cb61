"""Why an answer ended: Anthropic's words and ours."""

from gateway.ir.response import StopReason

STOPS: dict[str, StopReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}

_WORDS: dict[StopReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}


def decode_stop(word: str) -> StopReason:
    return STOPS.get(word, "other")


def encode_stop(reason: StopReason | None, raw: str, *, calls: bool) -> str:
    """Anthropic's word: the provider's own where it is one of Anthropic's that means the same.

    Some providers end with a plain stop although they called a tool (OpenAI does where the tool was
    forced); clients of this protocol run tools on `tool_use` alone.
    """
    if STOPS.get(raw) == reason and reason is not None:
        return raw
    if calls and reason in ("stop", "other", None):
        return "tool_use"
    return _WORDS[reason or "stop"]
