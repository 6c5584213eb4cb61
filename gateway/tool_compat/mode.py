"""Compat mode around an answer: text → text and tool calls, whole or as it streams.

A block that is no well-formed call, or calls a tool that the request does not have, stays text, to
the letter. An answer with calls stops because of them, so that agents run them; one that was cut
short never has its last, unfinished call run.
"""

from msgspec.structs import replace

from gateway.ir.events import (
    Completed,
    Event,
    Failed,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from gateway.ir.request import Part, Request, Text, Tool, ToolCall
from gateway.ir.response import Choice, Response, StopReason
from gateway.tool_compat.guide import schema_of
from gateway.tool_compat.scanner import Piece, Scanner, Written
from gateway.tool_compat.values import Schema, arguments_json

_ENDED_WELL: frozenset[StopReason | None] = frozenset({"stop", "stop_sequence", "other", None})


class Tools:
    """The functions that a request may call, and the ids of the calls read so far."""

    def __init__(self, request: Request, *, seed: str) -> None:
        self._schemas: dict[str, Schema] = {
            tool.name: schema_of(tool) for tool in request.tools if isinstance(tool, Tool)
        }
        choice = request.tool_choice
        self.may_call = bool(self._schemas) and (choice is None or choice.mode != "none")
        self._seed = seed
        self._count = 0

    def call(self, written: Written, index: int) -> ToolCall | None:
        """The call with an id of ours; None for a tool that the request does not have."""
        schema = self._schemas.get(written.call.name)
        if schema is None:
            return None
        self._count += 1
        return ToolCall(
            id=f"tool_{self._seed}{self._count}",
            name=written.call.name,
            arguments=arguments_json(written.call.given, schema),
            index=index,
        )


def read_response(response: Response, tools: Tools) -> Response:
    """A whole answer, its calls read from its text."""
    if not tools.may_call:
        return response
    return replace(
        response, choices=tuple(_read_choice(choice, tools) for choice in response.choices)
    )


def _read_choice(choice: Choice, tools: Tools) -> Choice:
    parts: list[Part] = []
    calls = 0
    last_text = max(
        (at for at, part in enumerate(choice.parts) if isinstance(part, Text)), default=-1
    )
    for position, part in enumerate(choice.parts):
        if not isinstance(part, Text):
            parts.append(part)
            continue
        scanner = Scanner()
        pieces = scanner.feed(part.text)
        cut_short = position == last_text and choice.stop not in _ENDED_WELL
        pieces += scanner.finish(cut_short=cut_short)
        for piece in pieces:
            call = tools.call(piece, calls) if isinstance(piece, Written) else None
            if call is not None:
                parts.append(call)
                calls += 1
            elif (text := _raw(piece)) and isinstance(before := _last(parts), Text):
                parts[-1] = replace(before, text=before.text + text)
            elif text:
                parts.append(replace(part, text=text))
    if not calls:
        return choice
    stop: StopReason | None = "tool_calls" if choice.stop in _ENDED_WELL else choice.stop
    return replace(choice, parts=tuple(parts), stop=stop)


def _last(parts: list[Part]) -> Part | None:
    return parts[-1] if parts else None


def _raw(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.raw


class CompatStream:
    """Events of an upstream without tools → events with its calls."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._scanners: dict[int, Scanner] = {}
        self._counts: dict[int, int] = {}  # choice → calls so far

    def read(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        if not self._tools.may_call:
            return events
        read: list[Event] = []
        for event in events:
            match event:
                case TextDelta():
                    scanner = self._scanners.setdefault(event.choice, Scanner())
                    self._tell(scanner.feed(event.text), event.choice, read)
                case Stopped():
                    read += self._stopped(event)
                case Completed():
                    # Not all providers say why an answer stopped.
                    for choice in tuple(self._scanners):
                        self._finish(choice, read, cut_short=False)
                    read.append(event)
                case Failed():
                    for choice in tuple(self._scanners):
                        self._finish(choice, read, cut_short=True)
                    read.append(event)
                case _:
                    read.append(event)
        return tuple(read)

    def _stopped(self, event: Stopped) -> list[Event]:
        read: list[Event] = []
        ended_well = event.reason in _ENDED_WELL
        self._finish(event.choice, read, cut_short=not ended_well)
        if ended_well and self._counts.get(event.choice):
            event = replace(event, reason="tool_calls")
        return [*read, event]

    def _finish(self, choice: int, read: list[Event], *, cut_short: bool) -> None:
        scanner = self._scanners.pop(choice, None)
        if scanner is not None:
            self._tell(scanner.finish(cut_short=cut_short), choice, read)

    def _tell(self, pieces: list[Piece], choice: int, read: list[Event]) -> None:
        for piece in pieces:
            index = self._counts.get(choice, 0)
            call = self._tools.call(piece, index) if isinstance(piece, Written) else None
            if call is None:
                read.append(TextDelta(text=_raw(piece), choice=choice))
                continue
            self._counts[choice] = index + 1
            read.append(ToolCallStarted(index=index, id=call.id, name=call.name, choice=choice))
            read.append(ToolCallDelta(index=index, arguments=call.arguments, choice=choice))
