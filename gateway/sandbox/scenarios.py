"""The table of sandbox models: their names, what each does, what a number after the name means.

This page is for customers: `markdown_table` prints it, with what the gateway makes of each. How a
scenario is carried out is not known here. Those of speech and pictures are `media_scenarios`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

SECONDS_MAX = 3600.0  # no scenario keeps a connection longer
_NUMBER_MAX = 10**18

ScenarioName = Literal[
    "echo",
    "priced",
    "reasoning",
    "server-error",
    "invalid-request",
    "rate-limited",
    "overloaded",
    "invalid-key",
    "no-credit",
    "not-found",
    "context-length",
    "content-filter",
    "slow-first-byte",
    "stall",
    "cut-midstream",
    "no-end-marker",
    "error-midstream",
    "garbled",
    "empty",
    "no-usage",
    "absurd-usage",
    "endless",
    # of speech and pictures alone: `media_scenarios`
    "slow",
    "partial",
    "failed",
    "late-success",
    "never-ends",
]


class Scenario(msgspec.Struct, frozen=True):
    """One sandbox model. `number` says what `name:NUMBER` means; "": it takes none."""

    name: ScenarioName
    stream: str  # what a streamed request gets
    json: str = ""  # what any other request gets, where that differs
    number: str = ""


class Chosen(msgspec.Struct, frozen=True):
    """A scenario as a request named it: `stall:30` is `("stall", 30.0)`."""

    name: ScenarioName
    number: float | None = None

    def seconds(self, default: float) -> float:
        value = default if self.number is None else self.number
        return min(max(value, 0.0), SECONDS_MAX)

    def whole(self, default: int) -> int:
        return default if self.number is None else int(self.number)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "echo",
            "Answers at once with the text of the last user message, a word at a time. With "
            'tools, the text `call NAME {"a": 1}` is answered with that call; a tool result is '
            "echoed; an image is described by media type and size. Honours max_tokens, stop and n.",
        ),
        Scenario("priced", "Answers like `echo`, at a price, so that costs can be seen."),
        Scenario(
            "reasoning",
            "Thinks aloud (`reasoning_content`; a thinking block with its signature), then answers "
            "like `echo`. A thinking block that comes back with another seal is refused (400).",
        ),
        Scenario("server-error", "Fails with 500.", number="the status, 500 to 599"),
        Scenario(
            "invalid-request",
            "Fails with 400, as for a parameter that is not understood.",
            number="the status, 400 to 499",
        ),
        Scenario(
            "rate-limited",
            "Fails with 429 and `Retry-After`.",
            number="seconds of `Retry-After` (1)",
        ),
        Scenario("overloaded", "Fails with 503 (OpenAI) or 529 (Anthropic)."),
        Scenario("invalid-key", "Fails with 401, as for a wrong API key."),
        Scenario(
            "no-credit",
            "Fails as an account without money does: 429 `insufficient_quota` (OpenAI), "
            "402 `billing_error` (Anthropic).",
            number="the status instead",
        ),
        Scenario("not-found", "Fails with 404, as for a model that does not exist."),
        Scenario(
            "context-length",
            "Fails with 400, as for a prompt longer than the model's window; else like `echo`.",
            number="tokens of the window (0: every prompt is too long)",
        ),
        Scenario(
            "content-filter",
            "Fails with 400: the prompt is refused by policy. With a number, the answer begins and "
            "is then withheld: finish_reason `content_filter`, stop_reason `refusal`.",
            number="tokens answered before the refusal",
        ),
        Scenario(
            "slow-first-byte",
            "Sends nothing at all for a while, then answers like `echo`.",
            number="seconds of silence (30)",
        ),
        Scenario(
            "stall",
            "Sends the first half of the answer, then nothing, then the rest.",
            number="seconds of silence (3600)",
        ),
        Scenario(
            "cut-midstream",
            "The connection ends in the middle of the answer, without an end of the HTTP body.",
            "The body is shorter than its Content-Length.",
            number="content events before the cut (half of them)",
        ),
        Scenario(
            "no-end-marker",
            "Ends cleanly, but without `[DONE]` or `message_stop`. With a number, also without the "
            "rest of the answer and its finish reason.",
            "Answers like `echo`.",
            number="content events before the end (all)",
        ),
        Scenario(
            "error-midstream",
            "An error event in the middle of the answer, and then the end.",
            "Status 200 with an error as its body.",
            number="content events before the error (half of them)",
        ),
        Scenario(
            "garbled",
            "One content event is not JSON; the rest goes on as if nothing had happened.",
            "Status 200 with a body that is not JSON.",
            number="content events before it (half of them)",
        ),
        Scenario("empty", "A complete answer, status 200, with no content at all."),
        Scenario("no-usage", "Answers like `echo`, but never says what was used."),
        Scenario(
            "absurd-usage",
            "Answers like `echo`, but says it used 10^15 input tokens and -7 output tokens.",
            number="tokens said for both, also negative",
        ),
        Scenario(
            "endless",
            "Repeats the text slowly until the client hangs up (an hour at most).",
            "Sends half of the answer and nothing more.",
            number="seconds between events (0.1)",
        ),
    )
}


# What comes of it through the gateway where no other model is asked: not streamed, and streamed; an
# "event" is an error event in a stream that had begun. Not listed: 200.
TOLD: dict[str, tuple[str, str]] = {
    "server-error": ("502 upstream_error", "502 upstream_error"),
    "invalid-request": ("400", "400"),
    "rate-limited": ("429 upstream_rate_limited", "429 upstream_rate_limited"),
    "overloaded": ("503 upstream_overloaded", "503 upstream_overloaded"),
    "invalid-key": ("502 provider_misconfigured", "502 provider_misconfigured"),
    "no-credit": ("502 provider_misconfigured", "502 provider_misconfigured"),
    "not-found": ("404 model_not_found", "404 model_not_found"),
    "context-length": ("400 context_length_exceeded", "400 context_length_exceeded"),
    "content-filter": ("400 content_filter", "400 content_filter"),
    "slow-first-byte": ("200", "504 upstream_timeout"),
    "stall": ("504 upstream_timeout", "event upstream_timeout"),
    "cut-midstream": ("502 upstream_error", "event upstream_error"),
    "no-end-marker": ("200", "event upstream_error"),
    "error-midstream": ("502 upstream_error", "event upstream_error"),
    "garbled": ("502 upstream_error", "event upstream_error"),
    "empty": ("502 upstream_error", "502 upstream_error"),
    "endless": ("504 upstream_timeout", "200"),
}


def told(name: str) -> tuple[str, str]:
    """Status and code through the gateway: not streamed, and streamed."""
    return TOLD.get(name, ("200", "200"))


def choose(
    model: str, table: Mapping[str, Scenario] = SCENARIOS, *, mark: str = ":"
) -> Chosen | None:
    """The scenario that a model name asks for; None where there is no such model.

    `mark` is what stands between the name and the number.
    """
    name, marked, number = model.partition(mark)
    scenario = table.get(name)
    if scenario is None:
        return None
    if not marked:
        return Chosen(scenario.name)
    value = _number(number) if scenario.number else None
    return None if value is None else Chosen(scenario.name, value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # Neither comparison holds for NaN.
    return value if -_NUMBER_MAX <= value <= _NUMBER_MAX else None


def markdown_table() -> str:
    """All scenarios, one a line, for a page of documentation."""
    head = "| model | streamed | not streamed | `:NUMBER` | you get (streamed) |\n"
    return head + "|---|---|---|---|---|\n" + "".join(map(_line, SCENARIOS.values()))


def _line(row: Scenario) -> str:
    whole, streamed = told(row.name)
    get = whole if whole == streamed else f"{whole} ({streamed})"
    cells = (f"`{row.name}`", row.stream, row.json or "the same", row.number or "none", get)
    return f"| {' | '.join(cells)} |\n"
