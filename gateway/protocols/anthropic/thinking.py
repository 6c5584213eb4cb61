"""How much to think: efforts, and budgets in tokens.

Models of the capability `adaptive_thinking` take an effort (`output_config.effort`) and decide by
themselves; the others take a budget, of at least 1024 tokens and below `max_tokens`. Source:
https://platform.claude.com/docs/en/build-with-claude/extended-thinking and …/adaptive-thinking
"""

from gateway.ir.request import (
    Message,
    Reasoning,
    ReasoningConfig,
    RedactedReasoning,
    ToolCall,
    ToolResult,
)
from gateway.protocols.anthropic import wire

ADAPTIVE = "adaptive_thinking"  # the capability
BUDGET_MIN = 1024  # tokens; the protocol's own minimum

# Effort → tokens of thought, for models that know budgets only.
BUDGETS = {
    "minimal": 1024,
    "low": 1024,
    "medium": 4096,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}
_EFFORTS = {"minimal": "low"} | {name: name for name in ("low", "medium", "high", "xhigh", "max")}


def encode_thinking(
    config: ReasoningConfig, *, max_tokens: int, max_tokens_is_ours: bool, adaptive: bool
) -> wire.Json | None:
    """The fields that say it; None where it cannot be said within `max_tokens`.

    A budget that the client named stands as it is, unless only our own default of `max_tokens` is
    in its way; one that comes from an effort leaves half of `max_tokens` to the answer.
    """
    if not config.enabled or config.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if adaptive:
        fields: wire.Json = {"thinking": {"type": "adaptive"}}
        if config.effort in _EFFORTS:
            fields["output_config"] = {"effort": _EFFORTS[config.effort]}
        return fields
    if config.budget_tokens is not None:
        budget = config.budget_tokens
        if max_tokens_is_ours:
            budget = min(budget, max_tokens - 1)
    else:
        # An effort that nobody knows, or none with thinking asked for, is a medium one.
        budget = min(BUDGETS.get(config.effort, BUDGETS["medium"]), max_tokens // 2)
        budget = max(budget, BUDGET_MIN) if max_tokens > BUDGET_MIN else 0
    if budget < BUDGET_MIN:
        return None
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def thinks(fields: wire.Json) -> bool:
    """Whether these fields ask for thoughts."""
    return bool(fields.get("thinking", {"type": "disabled"}) != {"type": "disabled"})


def loop_without_thoughts(messages: tuple[Message, ...]) -> bool:
    """Whether the answer continues a tool loop whose call has no thoughts that Anthropic signed.

    With a budget, Anthropic refuses such a request: "a final assistant message must start with a
    thinking block". It happens where another provider made the call, or the client's protocol keeps
    no signatures.
    """
    for message in reversed(messages):
        if message.role == "assistant":
            calls = any(isinstance(part, ToolCall) for part in message.parts)
            return calls and not any(signed_here(part) for part in message.parts)
        if message.role == "user" and not any(
            isinstance(part, ToolResult) for part in message.parts
        ):
            return False
    return False


def signed_here(part: object) -> bool:
    """Whether this is a thought that Anthropic takes back."""
    match part:
        case Reasoning():
            return part.signed_by == wire.NAME and bool(part.signature)
        case RedactedReasoning():
            return part.signed_by == wire.NAME
    return False
