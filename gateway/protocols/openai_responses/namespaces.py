"""Namespaces of tools: groups of functions and custom tools, whose calls name the group beside.

No other protocol has them: there a tool is called by both names in one, and its calls come back to
the client as it knows them. Codex has its tools for sub-agents in one, and all tools of newer
models.

Source: https://developers.openai.com/api/docs/guides/function-calling (read 2026-11-22)
"""

import hashlib
from collections.abc import Sequence

from msgspec.structs import replace

from gateway.ir.request import OtherTool, Request, Tool
from gateway.protocols.openai_responses import wire
from gateway.protocols.openai_responses.wire import NAME, Object, Wire

NAMESPACE = "namespace"  # the type of a group, the field of a call, and among a tool's extras
NAME_LENGTH_MAX = 64  # most vendors refuse longer names


class Names:
    """What the client calls its tools, by the names under which they are called elsewhere."""

    def __init__(self, request: Request | None) -> None:
        tools = request.tools if request is not None else ()
        self._known: dict[str, Wire] = {}
        for tool in tools:
            if isinstance(tool, Tool) and (kept := _kept(tool)) is not None:
                self._known[tool.name] = {"name": kept["tool"], NAMESPACE: kept["name"]}

    def known(self, call: Wire) -> Wire:
        """A call as the client knows it."""
        return call | self._known.get(str(call["name"]), {})


def joined(namespace: str, name: str) -> str:
    """The name under which a tool is called where there are no namespaces."""
    if not namespace:
        return name
    both = f"{namespace}__{name}"
    if len(both) <= NAME_LENGTH_MAX:
        return both
    told = hashlib.sha256(both.encode()).hexdigest()[:8]
    return f"{both[: NAME_LENGTH_MAX - 9]}_{told}"


def within(space: Object, name: str, tool: Tool) -> Tool:
    """A tool of the namespace of this name, whose other fields are `space`."""
    kept = {key: raw for key, raw in space.items() if key not in ("type", "tools")}
    group = wire.raw({**kept, "name": name, "tool": tool.name})
    extras = {NAME: {**tool.extras.get(NAME, {}), NAMESPACE: group}}
    return replace(tool, name=joined(name, tool.name), extras=extras)


def regrouped(tools: Sequence[tuple[Tool | OtherTool, object]]) -> list[object]:
    """Tools and how they are written, those of one namespace together where its first stood."""
    written: list[object] = []
    groups: dict[bytes, list[object]] = {}
    for tool, encoded in tools:
        kept = _kept(tool) if isinstance(tool, Tool) else None
        if kept is None:
            written.append(encoded)
            continue
        name = bytes(kept["name"])
        if name not in groups:
            groups[name] = []
            about = {key: raw for key, raw in kept.items() if key != "tool"}
            # The API's types ask for a description, if an empty one.
            group = {"type": NAMESPACE, "description": "", **about, "tools": groups[name]}
            written.append(group)
        groups[name].append(encoded)
    return written


def own_name(tool: Tool) -> object:
    """What the tool is called within its namespace."""
    kept = _kept(tool)
    return tool.name if kept is None else kept["tool"]


def _kept(tool: Tool) -> Object | None:
    told = tool.extras.get(NAME, {}).get(NAMESPACE)
    return None if told is None else wire.decode_object(told)
