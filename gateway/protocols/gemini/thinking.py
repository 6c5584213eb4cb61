"""How much to think: levels from Gemini 3 on, budgets in tokens before, nothing before 2.5.

Source: https://ai.google.dev/gemini-api/docs/thinking#levels-budgets, and for the budgets that
stand for an effort https://ai.google.dev/gemini-api/docs/openai#thinking
"""

import re

from gateway.ir.request import ReasoningConfig
from gateway.protocols.gemini import wire

BUDGETS = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_PRO_BUDGET_MIN = 128  # Gemini 2.5 Pro cannot be kept from thinking
_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium"}
_PRO_LEVELS = {"minimal": "low", "low": "low", "medium": "medium"}

_THOUGHTLESS = re.compile(r"gemini-(?:1|2\.0)|gemma|learnlm", re.IGNORECASE)
_BY_BUDGET = re.compile(r"gemini-2", re.IGNORECASE)
_PRO = re.compile(r"\bpro\b", re.IGNORECASE)


def encode_thinking(config: ReasoningConfig, model: str) -> wire.Json | None:
    """`thinkingConfig`; None where this model has no word for it."""
    if _THOUGHTLESS.search(model):
        return None
    pro = bool(_PRO.search(model))
    if not config.enabled or config.effort == "none":
        if _BY_BUDGET.search(model):
            return {"thinkingBudget": _PRO_BUDGET_MIN if pro else 0}
        return {"thinkingLevel": "low" if pro else "minimal"}
    told: wire.Json = {"includeThoughts": True}
    if config.budget_tokens is not None:
        told["thinkingBudget"] = config.budget_tokens
    elif _BY_BUDGET.search(model):
        # -1: as much as the model likes.
        told["thinkingBudget"] = BUDGETS.get(config.effort, -1)
    elif config.effort:
        told["thinkingLevel"] = (_PRO_LEVELS if pro else _LEVELS).get(config.effort, "high")
    return told
