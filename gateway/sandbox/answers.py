"""What a sandbox model says: from a request (`Ask`) to an `Answer`, before either has a protocol.

Pure functions; nothing here fails on the way (see `delivery`) or knows JSON shapes (see the
dialects).
"""

import base64
import itertools
import json
import re
from collections.abc import Iterable
from typing import Literal, NoReturn

import msgspec

from gateway.sandbox.failures import Failure, Refused
from gateway.sandbox.scenarios import SECONDS_MAX, Chosen
from gateway.sandbox.tokens import count, split

Finish = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter"]

REASONING = split("The user wants the same words back, so I repeat them.")
ENDLESS_INTERVAL_S = 0.1
ABSURD_INPUT, ABSURD_OUTPUT = 10**15, -7

_CALL = re.compile(r"\s*call\s+([A-Za-z0-9_.-]+)\s+(?=\{)")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request, as far as the sandbox heeds it."""

    model: str
    text: str  # what echo repeats: the last user message, or the tool results after it
    input_tokens: int
    tools: tuple[str, ...] = ()  # names that may be called now
    forced: str | None = None  # the tool that tool_choice demands
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    stream: bool = False
    include_usage: bool = True


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str  # a JSON object, byte for byte as the user wrote it


class Usage(msgspec.Struct, frozen=True):
    """`output` is of all choices and includes `reasoning`."""

    input: int
    output: int
    reasoning: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer; `n` choices are `n` times the same."""

    text: Iterable[str] = ()  # tokens; endless only for a streamed `endless`
    reasoning: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    stop_sequence: str | None = None
    usage: Usage | None = None


def compose(ask: Ask, chosen: Chosen) -> Answer:
    """The answer of a scenario that has one; what breaks it on the way is in `delivery`."""
    if chosen.name == "endless" and ask.stream:
        return _endless(ask, chosen)
    if chosen.name == "empty":
        return Answer(usage=Usage(ask.input_tokens, 0))
    answer = _echo(ask, REASONING if chosen.name == "reasoning" else ())
    if chosen.name == "content-filter":
        return _withheld(ask, answer, chosen.whole(0))
    if chosen.name == "no-usage":
        return msgspec.structs.replace(answer, usage=None)
    if chosen.name == "absurd-usage":
        said = Usage(chosen.whole(ABSURD_INPUT), chosen.whole(ABSURD_OUTPUT))
        return msgspec.structs.replace(answer, usage=said)
    return answer


def described(media_type: str, data: str) -> str:
    """An image, sound or file in words. `data` is base64.

    Raises: Refused where it is not.
    """
    try:
        size = len(base64.b64decode(data, validate=True))
    except ValueError as error:  # binascii's own among them
        raise Refused(Failure(kind="invalid", message=f"Invalid base64 data: {error}")) from error
    return f"[{media_type}, {size} bytes]"


def described_url(url: str) -> str:
    """As `described`, for a `data:` URL; any other URL is told as it is, and never fetched."""
    if not url.startswith("data:"):
        return f"[image at {url}]"
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, semicolon, encoding = head.partition(";")
    if not comma or not semicolon or encoding != "base64":
        raise Refused(Failure(kind="invalid", message="Expected a base64-encoded data URL."))
    return described(media_type, data)


def _echo(ask: Ask, reasoning: tuple[str, ...]) -> Answer:
    calls = _calls(ask)
    if calls:
        return _calling(ask, calls, reasoning)
    text, sequence = _stopped(ask.text, ask.stop)
    said = split(text)
    if ask.max_tokens is not None and len(reasoning) + len(said) > ask.max_tokens:
        reasoning = reasoning[: ask.max_tokens]
        said = said[: ask.max_tokens - len(reasoning)]
        return Answer(
            text=said,
            reasoning=reasoning,
            finish="length",
            usage=_usage(ask, len(said), len(reasoning)),
        )
    return Answer(
        text=said,
        reasoning=reasoning,
        finish="stop" if sequence is None else "stop_sequence",
        stop_sequence=sequence,
        usage=_usage(ask, len(said), len(reasoning)),
    )


def _calling(ask: Ask, calls: tuple[Call, ...], reasoning: tuple[str, ...]) -> Answer:
    tokens = sum(count(call.name) + count(call.arguments) for call in calls)
    if ask.max_tokens is not None and len(reasoning) + tokens > ask.max_tokens:
        # Half a call would be half a JSON object, which one of the protocols cannot say.
        reasoning = reasoning[: ask.max_tokens]
        return Answer(reasoning=reasoning, finish="length", usage=_usage(ask, 0, len(reasoning)))
    return Answer(
        reasoning=reasoning,
        calls=calls,
        finish="tool_calls",
        usage=_usage(ask, tokens, len(reasoning)),
    )


def _withheld(ask: Ask, answer: Answer, tokens: int) -> Answer:
    said = tuple(answer.text)[: max(tokens, 0)]
    return Answer(text=said, finish="content_filter", usage=_usage(ask, len(said), 0))


def _endless(ask: Ask, chosen: Chosen) -> Answer:
    words = split(ask.text.strip() + " ") if ask.text.strip() else ("endless ",)
    interval = max(chosen.seconds(ENDLESS_INTERVAL_S), 0.001)
    events = int(SECONDS_MAX / interval)
    return Answer(
        text=itertools.islice(itertools.cycle(words), events),
        finish="length",
        usage=_usage(ask, events, 0),
    )


def _usage(ask: Ask, said: int, reasoning: int) -> Usage:
    return Usage(ask.input_tokens, (said + reasoning) * ask.n, reasoning * ask.n)


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The text before the first stop sequence in it, and which one that was."""
    found = [(at, sequence) for sequence in stop if sequence and (at := text.find(sequence)) >= 0]
    if not found:
        return text, None
    at, sequence = min(found)
    return text[:at], sequence


def _calls(ask: Ask) -> tuple[Call, ...]:
    """The tool calls that the text asks for: one `call NAME {json}` or several."""
    calls = _spoken_calls(ask.text) if ask.tools else ()
    if calls and all(call.name in ask.tools for call in calls):
        return calls
    return (Call(ask.forced, "{}"),) if ask.forced else ()


def _spoken_calls(text: str) -> tuple[Call, ...]:
    """() unless the whole text is calls."""
    calls: list[Call] = []
    at = 0
    while text[at:].strip():
        match = _CALL.match(text, at)
        if not match:
            return ()
        try:
            _, at = _JSON.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            return ()
        calls.append(Call(match[1], text[match.end() : at]))
    return tuple(calls)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
