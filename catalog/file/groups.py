"""Groups of the catalog file, and of the bodies that customers send: one form, one reader."""

from collections.abc import Callable

from catalog.file.entries import AliasEntry, GroupEntry
from catalog.file.reading import Section
from catalog.groups import names

BALANCES = ("failover", "round_robin")
INJECTS = ("with_tools", "always")
TOOL_COMPATS = ("auto", "compat", "native")
INJECTIONS = ("off", "enhance", "replace")
POSITIONS = ("system", "user")


def read_group(section: Section) -> GroupEntry:
    name = section.text("name", None, longest=200)
    if name:
        _checked(section, "name", name, names.check_name)
    columns: dict[str, object] = {
        "balance": section.choice("balance", BALANCES, "failover"),
        "disabled": section.flag("disabled", default=False),
        "allow_catalog": section.flag("allow_catalog", default=False),
        "inject": section.choice("inject", INJECTS, "with_tools"),
        "tool_compat": section.choice("tool_compat", TOOL_COMPATS, "auto"),
        "prompt_injection": _injection(section),
        "prompt_text": section.text("prompt_text", longest=names.PROMPT_MAX),
        "prompt_position": section.choice("prompt_position", POSITIONS, "system"),
        "prompt_replace": _replaces(section),
        "inject_for": _patterns(section),
        "tool_filter": _tools(section),
        "temperature_ratio": _ratio(section),
    }
    entry = GroupEntry(
        path=section.path, name=name, columns=columns, aliases=_aliases(section.section("aliases"))
    )
    section.close()
    return entry


def _injection(section: Section) -> str:
    """`off` without quotes is `false` to YAML."""
    value = section.take("prompt_injection")
    if value is None or value is False:
        return "off"
    if value not in INJECTIONS:
        section.problem(
            "prompt_injection", f"must be one of {', '.join(INJECTIONS)}, not {value!r}"
        )
        return "off"
    return str(value)


def _aliases(section: Section) -> tuple[AliasEntry, ...]:
    patterns = section.names()
    if len(patterns) > names.ALIASES_MAX:
        section.problem(None, f"has {len(patterns)} aliases; the most is {names.ALIASES_MAX}")
    return tuple(
        AliasEntry(path=(*section.path, pattern), pattern=pattern, targets=targets)
        for pattern in patterns
        if (targets := _targets(section, pattern))
    )


def _targets(section: Section, pattern: str) -> tuple[str, ...]:
    """At least one, each once; a single one may stand without its list."""
    _checked(section, pattern, pattern, names.check_pattern)
    value = section.take(pattern)
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        section.problem(pattern, f"must be a list of catalog ids, not {value!r}")
        return ()
    if not 0 < len(items) <= names.TARGETS_MAX:
        section.problem(pattern, f"must have 1 to {names.TARGETS_MAX} targets, not {len(items)}")
        return ()
    if len(set(items)) < len(items):
        section.problem(pattern, "names a target twice")
    return tuple(items)


def _replaces(section: Section) -> list[dict[str, str]]:
    pairs = []
    for each in section.sections("prompt_replace"):
        key = each.text("key", None, longest=names.REPLACE_KEY_MAX)
        value = each.text("value", longest=names.REPLACE_VALUE_MAX)
        each.close()
        pairs.append({"key": key, "value": value})
    if len(pairs) > names.REPLACES_MAX:
        section.problem("prompt_replace", f"has more than {names.REPLACES_MAX} entries")
    return pairs


def _patterns(section: Section) -> list[str]:
    found = _texts(section, "inject_for", names.PATTERNS_MAX)
    for pattern in found:
        _checked(section, "inject_for", pattern, names.check_pattern)
    return found


def _tools(section: Section) -> list[str]:
    return _texts(section, "tool_filter", names.TOOLS_MAX)


def _texts(section: Section, name: str, most: int) -> list[str]:
    value = section.take(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(item, str) and 0 < len(item) <= names.PATTERN_MAX and item.isprintable()
        for item in value
    ):
        section.problem(
            name,
            f"must be a list of texts of at most {names.PATTERN_MAX} characters, not {value!r}",
        )
        return []
    if len(value) > most:
        section.problem(name, f"has {len(value)} entries; the most is {most}")
    return list(dict.fromkeys(value))


def _ratio(section: Section) -> float:
    value = section.take("temperature_ratio")
    if value is None:
        return 1.0
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= names.RATIO_MAX
    ):
        section.problem(
            "temperature_ratio", f"must be a number from 0 to {names.RATIO_MAX:g}, not {value!r}"
        )
        return 1.0
    return float(value)


def _checked(section: Section, field: str, text: str, check: Callable[[str], None]) -> None:
    try:
        check(text)
    except ValueError as error:
        section.problem(field, str(error))
