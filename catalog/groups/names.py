"""What a group, an alias and a rule may be called, and how much of each there may be.

A group's name is a segment of a path: lower-case ASCII, and none that a route of ours has or may
have. An alias is a pattern: `*` stands for any characters, `?` for one, everything else for itself.
"""

import re
from functools import lru_cache

from django.core.exceptions import ValidationError

from ccapi.core.reserved import is_reserved

NAME = re.compile(r"(?!\d+\Z)(?!.*--)[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
NAME_MAX = 40
PATTERN_MAX = 128
GROUPS_MAX = 100  # of one organization
ALIASES_MAX = 200  # of one group
TARGETS_MAX = 16  # of one alias
PROMPT_MAX = 32_000  # characters
REPLACES_MAX = 50
REPLACE_KEY_MAX = 1_000
REPLACE_VALUE_MAX = 10_000
PATTERNS_MAX = 100  # of inject_for
TOOLS_MAX = 200  # of tool_filter
RATIO_MAX = 10.0


def check_name(name: str) -> None:
    """Raises: ValueError."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"must be 1 to {NAME_MAX} lower-case letters, digits and single -, not digits alone,"
            f" with no - at an end; not {name!r}"
        )
    if is_reserved(name):
        raise ValueError(f"{name!r} is reserved: it is, or may be, the beginning of another path")


def check_pattern(pattern: str) -> None:
    """Raises: ValueError."""
    if not 0 < len(pattern) <= PATTERN_MAX or not pattern.isprintable() or pattern.strip() == "":
        raise ValueError(
            f"must be 1 to {PATTERN_MAX} printable characters, with * and ?, not {pattern!r}"
        )


def validate_name(name: str) -> None:
    """The same for Django's forms. Raises: ValidationError."""
    try:
        check_name(name)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_pattern(pattern: str) -> None:
    """The same for Django's forms. Raises: ValidationError."""
    try:
        check_pattern(pattern)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name is of this pattern; case counts."""
    if pattern == name:
        return True
    star, mark = pattern.find("*"), pattern.find("?")
    wild = star if mark < 0 else mark if star < 0 else min(star, mark)
    # Most patterns differ in what stands before their first wildcard, or have none.
    if wild < 0 or len(name) > PATTERN_MAX * 2 or not name.startswith(pattern[:wild]):
        return False
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Each `*` takes as little as it can and keeps it (an atomic group): no backtracking explodes.

    The last one takes as much as it can. That finds a match wherever there is one.
    """
    pieces = [
        "".join("." if sign == "?" else re.escape(sign) for sign in piece)
        for piece in re.split(r"\*+", pattern)
    ]
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    first, *middle, last = pieces
    return re.compile(
        first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last, re.DOTALL
    )
