"""Why an answer ended: a response's status and `incomplete_details`, to ours and back."""

from gateway.ir.response import StopReason
from gateway.protocols.openai_responses import wire

# No answer, whatever stands in it.
UNFINISHED = frozenset({"failed", "cancelled", "queued", "in_progress"})

_DECODED: dict[str, StopReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
_ENCODED: dict[StopReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


def decode_stop(answer: wire.Answer, *, has_calls: bool) -> tuple[StopReason, str]:
    """The reason, and the provider's own word for it."""
    details = answer.incomplete_details
    if answer.status == "incomplete":
        word = (details.reason if details else None) or "incomplete"
        return _DECODED.get(word, "other"), word
    return ("tool_calls" if has_calls else "stop"), answer.status or "completed"


def incomplete_reason(stop: StopReason | None) -> str:
    """Why the answer is incomplete; "" where it is complete."""
    return _ENCODED.get(stop, "") if stop is not None else ""
