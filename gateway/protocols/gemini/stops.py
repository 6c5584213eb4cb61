"""Why an answer ended: Gemini's words and ours.

Source: https://ai.google.dev/api/generate-content#FinishReason and …#BlockReason
"""

from gateway.ir.response import StopReason

_STOPS: dict[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "JAILBREAK": "content_filter",
}
_WORDS: dict[StopReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "other": "OTHER",
}
NOT_TOLD = "FINISH_REASON_UNSPECIFIED"


def decode_stop(word: str, *, has_calls: bool) -> StopReason:
    """Gemini says STOP with calls, too; MALFORMED_FUNCTION_CALL and its kin are `other`."""
    reason = _STOPS.get(word, "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def encode_stop(reason: StopReason | None, raw: str) -> str:
    """Gemini's word: the provider's own where it is one of Gemini's that means the same.

    A provider of another protocol that told no reason ended normally.
    """
    if reason is None:
        return "STOP"
    if raw in _STOPS and _STOPS[raw] == reason:
        return raw
    if reason == "other" and raw.isupper():
        return raw  # MALFORMED_FUNCTION_CALL, LANGUAGE, …
    return _WORDS[reason]
