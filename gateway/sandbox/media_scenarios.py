"""The tables of the sandbox's models that speak and paint, as `scenarios` has those that chat.

A name is what is made and what happens to it: `speech-stall`; alone, all goes well. `told` is what
comes of it through the gateway where no other model is asked: status and code; in brackets, of
sound that is sent as it comes. A job that fails has the code.
"""

from typing import TypeAlias

import msgspec

from gateway.sandbox.scenarios import Scenario, ScenarioName

# What happens, in words, what one gets, what a number means ("": it takes none).
_Row: TypeAlias = tuple[ScenarioName, str, str, str]

_PRICED: _Row = ("priced", "The same at a price, so that costs can be seen.", "200", "")
_PARTIAL: _Row = (
    "partial",
    "Makes fewer pictures than were asked for; those that come are counted.",
    "200",
    "pictures made (one fewer than `n`)",
)
# What all of them do that fail before there is anything.
_REFUSING: tuple[_Row, ...] = (
    ("server-error", "Fails with 500.", "502 upstream_error", "the status, 500 to 599"),
    (
        "invalid-request",
        "Fails with 400, as for a parameter that is not understood.",
        "400 invalid_parameter",
        "the status, 400 to 499",
    ),
    (
        "rate-limited",
        "Fails with 429 and `Retry-After`.",
        "429 upstream_rate_limited",
        "seconds of `Retry-After` (1)",
    ),
    ("overloaded", "Fails with 503.", "503 upstream_overloaded", ""),
    ("invalid-key", "Fails with 401, as for a wrong API key.", "502 provider_misconfigured", ""),
)


class Media(msgspec.Struct, frozen=True):
    """One model of a table."""

    scenario: Scenario
    told: str


def _table(prefix: str, *rows: _Row) -> dict[str, Media]:
    """By the model's name."""
    return {
        prefix if happens == "echo" else f"{prefix}-{happens}": Media(
            Scenario(happens, words, number=number), get
        )
        for happens, words, get, number in rows
    }


SPEECH = _table(
    "speech",
    (
        "echo",
        "A tone a character, 72 ms long: low to high by its code, silence for white space. "
        "`speed` is honoured; every voice sounds the same.",
        "200",
        "",
    ),
    _PRICED,
    *_REFUSING,
    (
        "slow",
        "Sends nothing at all for a while, then speaks; 10 seconds are too long.",
        "200",
        "seconds of silence (5)",
    ),
    (
        "stall",
        "Sends the first half of the sound, then nothing, then the rest.",
        "504 upstream_timeout (cut)",
        "seconds of silence (3600)",
    ),
    (
        "cut-midstream",
        "The connection ends in the middle of the sound.",
        "502 upstream_error (cut)",
        "characters spoken before the cut (half of them)",
    ),
    ("garbled", "Status 200, and text where sound should be.", "502 upstream_error", ""),
    ("empty", "Status 200 with no sound at all.", "502 upstream_error", ""),
)

IMAGES = _table(
    "image",
    (
        "echo",
        "A PNG of flat colours that says SANDBOX: the same for the same request, another for each "
        "of `n`. With pictures and a mask, too.",
        "200",
        "",
    ),
    _PRICED,
    *_REFUSING,
    ("content-filter", "Fails with 400: refused by policy.", "400 invalid_parameter", ""),
    ("slow", "Answers after a while.", "200", "seconds (10)"),
    _PARTIAL,
    (
        "stall",
        "Half of the answer, then nothing, then the rest; 120 seconds are too long.",
        "504 upstream_timeout",
        "seconds of silence (3600)",
    ),
    (
        "cut-midstream",
        "The connection ends in the middle of the answer.",
        "502 upstream_error",
        "",
    ),
    ("garbled", "Status 200 with a body that is not JSON.", "502 upstream_error", ""),
    ("empty", "Status 200 with no picture.", "502 upstream_error", ""),
)

ASYNC_IMAGES = _table(
    "image",
    (
        "echo",
        "Takes the order, is at work for 2 seconds and tells how far it is, then has pictures, as "
        "`sandbox/image` makes them.",
        "200",
        "",
    ),
    _PRICED,
    ("slow", "The same, but takes its time.", "200", "seconds (20)"),
    *_REFUSING,
    (
        "content-filter",
        "Takes the order, then finds that policy forbids it.",
        "400 invalid_parameter",
        "seconds until then (2)",
    ),
    (
        "failed",
        "Takes the order, then fails for good.",
        "502 upstream_error",
        "seconds until then (2)",
    ),
    _PARTIAL,
    ("empty", "Succeeds with no picture.", "502 upstream_error", ""),
    (
        "cut-midstream",
        "Takes the order, but its answer breaks off, so that nobody knows. A gateway that can be "
        "called from outside waits five minutes for a word; then it is 504 upstream_timeout.",
        "502 upstream_error",
        "",
    ),
    (
        "late-success",
        "At work for a minute. Where it is cancelled meanwhile it has just succeeded, and counts.",
        "200",
        "seconds (60)",
    ),
    (
        "never-ends",
        "Takes the order and never ends: the job's own time does, after 30 minutes. With a number "
        "it gives up by itself.",
        "504 upstream_timeout",
        "seconds until it gives up",
    ),
)

# By provider.
TABLES = {"sandbox": SPEECH | IMAGES, "sandbox-async": ASYNC_IMAGES}


def scenarios(table: dict[str, Media]) -> dict[str, Scenario]:
    """What `scenarios.choose` looks in."""
    return {name: media.scenario for name, media in table.items()}


def markdown_table(table: dict[str, Media], told: str = "you get") -> str:
    """One model a line, for a page of documentation; `told` is the head of the last column."""
    head = f"| model | what it does | `:NUMBER` | {told} |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | {each.scenario.stream} | {each.scenario.number or 'none'} | {each.told} |\n"
        for name, each in table.items()
    )
