"""What a request loses on its way to an upstream of a protocol: all of it, and nothing beside.

Every loss is told (`dropped`, a refusal that names the parameter) or is a change of form, whose
reason stands here. The aspects are those of `meaning`.
"""

# Scenario → upstream: the parameter that the refusal names begins with this.
REFUSED: dict[str, dict[str, str]] = {
    "image by URL": {"ollama": "messages"},
    "file by bytes": {"ollama": "messages"},
    "file by URL": {"openai": "messages", "ollama": "messages"},
    "audio": {"anthropic": "messages", "ollama": "messages"},
    "tool choice required": {"ollama": "tool_choice"},
    "tool choice by name": {"ollama": "tool_choice"},
    "tool of a vendor": {
        "openai": "tools",
        "openai_responses": "tools",
        "ollama": "tools",
        "gemini": "tools",
    },
    "any JSON": {"anthropic": "response_format"},
    "stop sequences": {"openai_responses": "stop"},
    "several answers": {"openai_responses": "n", "anthropic": "n", "ollama": "n"},
}


def _each(upstreams: tuple[str, ...], aspects: set[str]) -> dict[str, set[str]]:
    return {upstream: set(aspects) for upstream in upstreams}


# Aspect → names, of which one is told in `dropped` (with the message's place before it, maybe).
NAMED: dict[str, tuple[str, ...]] = {
    "thoughts": ("reasoning",),
    "signatures": ("reasoning",),
    "seed": ("seed",),
    "logprobs": ("logprobs",),
    "top_logprobs": ("top_logprobs",),
    "top_k": ("top_k",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "user": ("user",),
    "cache": ("cache_control",),
    "parallel_tool_calls": ("parallel_tool_calls",),
    "budget": ("reasoning",),
    "effort": ("reasoning",),
    "extras": ("service_tier",),
    "vendor tools": ("web_search",),
}
SIGNED_ELSEWHERE = {"thoughts", "signatures"}
DROPPED: dict[str, dict[str, set[str]]] = {
    "no parallel calls": {"ollama": {"parallel_tool_calls"}, "gemini": {"parallel_tool_calls"}},
    "thoughts unsigned": {"openai_responses": {"thoughts"}, "anthropic": {"thoughts"}},
    "thoughts of anthropic": _each(
        ("openai", "openai_responses", "ollama", "gemini"), SIGNED_ELSEWHERE
    ),
    "thoughts of gemini": _each(
        ("openai", "openai_responses", "ollama", "anthropic"), SIGNED_ELSEWHERE
    ),
    "thoughts of responses": _each(("openai", "anthropic", "ollama", "gemini"), SIGNED_ELSEWHERE),
    "redacted thoughts": _each(("openai", "openai_responses", "ollama", "gemini"), {"signatures"}),
    "seed": {"openai_responses": {"seed"}, "anthropic": {"seed"}},
    "logprobs": {"anthropic": {"logprobs", "top_logprobs"}},
    "top k": {"openai": {"top_k"}, "openai_responses": {"top_k"}},
    "penalties": _each(
        ("openai_responses", "anthropic"), {"presence_penalty", "frequency_penalty"}
    ),
    "budget": {"ollama": {"budget"}},
    "no thoughts": {"openai": {"effort"}, "openai_responses": {"effort"}},
    "user": {"ollama": {"user"}, "gemini": {"user"}},
    "cache marks": _each(("openai", "openai_responses", "ollama", "gemini"), {"cache"}),
    "tool of a vendor, offered": _each(
        ("openai", "anthropic", "ollama", "gemini"), {"vendor tools"}
    ),
    "what one vendor has": _each(("openai", "openai_responses", "ollama", "gemini"), {"extras"}),
}

# A change of form: all of it arrives, said in the protocol's own way.
AS_TEXT = {"files", "texts"}  # a text of a file stands among the texts, under its name
BY_WORDS = {"failures", "results"}  # no flag for a failed tool: the result says `Error:`
CHANGED: dict[str, dict[str, set[str]]] = {
    "file as text": _each(("openai", "openai_responses", "ollama", "gemini"), AS_TEXT),
    "failed tool": _each(("openai", "openai_responses", "ollama"), BY_WORDS),
    # Ollama has no tool choice: auto is what it does, and with none it is offered no tools.
    "tool choice auto": {"ollama": {"choice"}},
    "tool choice none": {"ollama": {"choice", "tools"}},
    "no parallel calls": {"ollama": {"choice"}},
    # Gemini decodes a forced tool as the only one on offer.
    "tool choice by name": {"gemini": {"tools"}},
    # A result is text: its image follows in a turn of the user, with words that say whose it is.
    "result with an image": {"openai": {"texts"}},
    # Several texts of one message are one content.
    "cache marks": {"ollama": {"texts"}},
    # The nearest effort to a budget; the least thinking where none cannot be asked for.
    "budget": _each(("openai", "openai_responses"), {"budget", "effort"}),
    "no thoughts": {"gemini": {"effort"}},
}


def told_in(aspect: str, dropped: tuple[str, ...]) -> bool:
    """Whether the upstream request's list of what was dropped names the aspect."""
    names = NAMED.get(aspect, ())
    return any(told.rpartition(".")[2] in names for told in dropped)
