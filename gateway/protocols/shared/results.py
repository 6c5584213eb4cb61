"""Results of tools for protocols that match them to calls by name and order.

Clients whose protocol has ids send results as they come (Claude Code: the fastest tool's first) and
without the names of their calls. Here the results of one turn get the order of its calls, each on
one of the places that results had, and the name of its call. A result of no known call stays.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.ir.request import Message, ToolCall, ToolResult

Results = dict[tuple[int, int], ToolResult]  # by their place: the message, and where in it


def in_order_of_calls(messages: Sequence[Message]) -> tuple[Message, ...]:
    told = list(messages)
    names: dict[str, str] = {}  # of all calls so far
    calls: list[str] = []  # of the latest turn that has any: their ids
    results: Results = {}
    for position, message in enumerate(messages):
        if message.role == "assistant":
            _put(told, _ordered(results, calls), names)
            results = {}
            made = {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
            names |= made
            calls = list(made) or calls
            continue
        for at, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                results[position, at] = part
    _put(told, _ordered(results, calls), names)
    return tuple(told)


def _ordered(results: Results, calls: list[str]) -> Results:
    order = {call_id: position for position, call_id in enumerate(calls)}
    known = {place: part for place, part in results.items() if part.call_id in order}
    parts = sorted(known.values(), key=lambda part: order[part.call_id])
    return results | dict(zip(known, parts, strict=True))


def _put(messages: list[Message], results: Results, names: dict[str, str]) -> None:
    for (position, at), result in results.items():
        if not result.name and names.get(result.call_id):
            result = replace(result, name=names[result.call_id])  # noqa: PLW2901
        message = messages[position]
        if message.parts[at] is not result:
            parts = (*message.parts[:at], result, *message.parts[at + 1 :])
            messages[position] = replace(message, parts=parts)
