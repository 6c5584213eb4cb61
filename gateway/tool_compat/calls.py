"""One call, read from what the model wrote between its tags: as tolerant as models are loose.

A value is raw text up to its own closing tag, so that unescaped `<`, generics and whole HTML pages
pass; attributes may have double, single or no quotes; any tag may stand for an argument, its name
as it was written. What has no name is no call.
"""

import re
from typing import NamedTuple

from gateway.tool_compat import tags


class Call(NamedTuple):
    """A call as it was written: (name, type, text) of each argument, entities decoded."""

    name: str
    given: list[tuple[str, str, str]]


_NAME = re.compile(
    r"<(name|tool_name)\s*>(.*?)(?:</\1\s*>|(?=<args\b|<parameters\b)|\Z)", re.S | re.I
)
_AREA = re.compile(r"<(args|arguments|parameters)\s*>", re.I)
_ATTRIBUTE = re.compile(
    r"""([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>/]+(?:/(?!>)[^\s"'>/]*)*))"""
)
# Attributes in quotes may hold `>`; what is in none may not.
_OPENING = re.compile(
    r"""<([A-Za-z_-][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))*)\s*(/?)>"""
)
_GENERIC = frozenset({"arg", "argument", "param", "parameter"})
# What stands beside the arguments where a model left `<args>` out.
_NO_ARGUMENTS = frozenset({"name", "tool_name", "id", "tool_use_id"})


def read_call(text: str, attributes: str = "") -> Call | None:
    """A call from the inside of its tag; `attributes` are those of the opening one (`invoke`).

    None where it has no name.
    """
    name = _attributes(attributes).get("name", "").strip()
    rest = text
    if not name:
        found = _NAME.search(text)
        if found is None:
            return None
        name = tags.unescape(found.group(2)).strip()
        rest = text[: found.start()] + text[found.end() :]
    if not name or any(blank in name for blank in " \t\r\n<"):
        return None
    return Call(name, _arguments(_area(rest)))


def _area(text: str) -> str:
    """What stands between the tags around the arguments; all of it where there are none."""
    opening = _AREA.search(text)
    if opening is None:
        return text
    closing = re.compile(rf"</{opening.group(1)}\s*>", re.I)
    ends = [found.start() for found in closing.finditer(text, opening.end())]
    # The last one: a value may quote the tag.
    return text[opening.end() : ends[-1] if ends else len(text)]


def _arguments(area: str) -> list[tuple[str, str, str]]:
    given: list[tuple[str, str, str]] = []
    at = 0
    while (opening := _OPENING.search(area, at)) is not None:
        tag, attributes = opening.group(1), _attributes(opening.group(2))
        generic = tag.lower() in _GENERIC
        name = attributes.get("name", "") if generic else tag
        if opening.group(3):
            text, at = "", opening.end()
        else:
            text, at = _value(area, opening.end(), tag, generic=generic)
        if not name or (not generic and name.lower() in _NO_ARGUMENTS):
            continue
        if "value" in attributes:
            text = attributes["value"]
        declared = attributes.get("type", "")
        given.append((tags.unescape(name), declared, tags.unescape(text)))
    return given


def _value(area: str, start: int, tag: str, *, generic: bool) -> tuple[str, int]:
    """The raw value, and where the search for the next argument goes on."""
    first = start + len(area[start:]) - len(area[start:].lstrip())
    search_from = start
    if area.startswith(tags.CDATA, first):
        # A closing tag inside such a section is text.
        end = area.find(tags.CDATA_END, first)
        search_from = end if end >= 0 else start
    closing = re.compile(rf"</{re.escape(tag)}\s*>", re.I).search(area, search_from)
    if closing is not None:
        return area[start : closing.start()], closing.end()
    # Never closed: up to the next argument, or to the end.
    following = re.compile(rf"\s*<{re.escape(tag)}\s", re.I).search(area, search_from)
    end = following.start() if generic and following is not None else len(area)
    return re.sub(r"</[\w.:-]+\s*>\s*\Z", "", area[start:end]), end


def _attributes(text: str) -> dict[str, str]:
    return {
        found.group(1).lower(): next(
            value for value in (*found.group(2, 3, 4), "") if value is not None
        )
        for found in _ATTRIBUTE.finditer(text)
    }
