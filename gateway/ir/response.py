"""A whole answer: choices of parts, why each ended, and what it used."""

from typing import Literal

import msgspec

from ccapi.core.usage import Usage
from gateway.ir.request import Extras, Part, Raw

StopReason = Literal[
    "stop",  # the model was done
    "stop_sequence",  # one of the client's stop strings
    "length",  # max_tokens, or the context was full
    "tool_calls",
    "content_filter",  # the provider cut it
    "refusal",  # the model declined
    "pause",  # Anthropic's pause_turn
    "other",
]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `raw_stop` is the provider's own word, kept beside the normalised one."""

    index: int = 0
    parts: tuple[Part, ...] = ()
    stop: StopReason | None = None
    raw_stop: str = ""
    stop_sequence: str = ""
    logprobs: Raw | None = None
    extras: Extras = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A finished answer. `usage` is None where the provider told none."""

    id: str
    model: str  # as the provider said it
    choices: tuple[Choice, ...]
    created: int = 0  # epoch seconds; 0: not told
    usage: Usage | None = None
    extras: Extras = {}

    def has_content(self) -> bool:
        return any(choice.parts for choice in self.choices)


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What the request cost, as JSON number literals of US dollars (`0.000018`), for `usage`."""

    input: str
    output: str
    total: str
