"""Reading a document of plain values: typed fields, and every mistake named by its line and field.

Knows YAML and paths, not catalogs. Nothing is raised while reading; problems gather, so that one
run names them all.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec
import yaml

# libyaml's, where PyYAML was built with it, as its wheels are.
_Quick: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]
Parsed = TypeVar("Parsed")


class Problem(msgspec.Struct, frozen=True):
    """One mistake. `line` counts from 1; None where the document came without text."""

    field: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.field}: {self.message}" if self.field else f"{where}{self.message}"


class DocumentError(ValueError):
    """A document with at least one mistake; nothing of it was taken over."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__("\n".join(map(str, self.problems)))


class Source:
    """Where values stand in the text, and what is wrong with them."""

    def __init__(self, lines: Mapping[Path, int] | None = None) -> None:
        self._lines = lines or {}
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str) -> None:
        line = None
        for length in range(len(path), -1, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                break
        self.problems.append(Problem(spelled(path), message, line))

    def check(self) -> None:
        """Raises: DocumentError, if anything was wrong."""
        if self.problems:
            raise DocumentError(self.problems)


def spelled(path: Path) -> str:
    """`("models", 0, "prices", "input")` → `models[0].prices.input`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse_yaml(text: str, *, is_ours: bool = False) -> tuple[object, Source]:
    """The plain value of a YAML text, and where its parts stand.

    `is_ours`: it came with the code, and is read by libyaml in a tenth of the time. What others
    wrote is not: a million open brackets end the process there, and are a mistake here.
    Raises: DocumentError for what is no YAML, and for a key that stands twice in one mapping.
    """
    loader = (_Quick if is_ours else yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, Source()
        lines: dict[Path, int] = {}
        repeated: list[Problem] = []
        _mark(node, (), lines, repeated)
        if repeated:
            raise DocumentError(repeated)
        return loader.construct_document(node), Source(lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise DocumentError([Problem("", error.problem or "is no YAML", line)]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError([Problem("", f"is no YAML: {error}")]) from error
    finally:
        loader.dispose()


def _mark(node: yaml.Node, path: Path, lines: dict[Path, int], repeated: list[Problem]) -> None:
    if path not in lines:  # a mapping's field stands where its name does
        lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.value)
            here = (*path, name)
            if name in seen:
                line = key.start_mark.line + 1
                repeated.append(Problem(spelled(here), "stands here twice", line))
            seen.add(name)
            lines[here] = key.start_mark.line + 1
            _mark(value, here, lines, repeated)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _mark(item, (*path, index), lines, repeated)


def refuse_repeats(source: Source, entries: list[tuple[Path, str, str]]) -> None:
    """`(path, field, name)`: each name once."""
    seen = set()
    for path, field, name in entries:
        if name in seen:
            source.add((*path, field), f"{name!r} stands here twice")
        seen.add(name)


class Section:
    """One mapping of the document. A field is taken once, by a method that says what it must be."""

    def __init__(self, value: object, path: Path, source: Source) -> None:
        self.path = path
        self.source = source
        self._left: dict[str, object] = {}
        if isinstance(value, Mapping):
            for key, item in value.items():
                self._left[str(key)] = item
        elif value is not None:
            self.problem(None, f"must be a mapping, not {value!r}")

    def problem(self, name: str | None, message: str) -> None:
        self.source.add(self.path if name is None else (*self.path, name), message)

    def has(self, name: str) -> bool:
        return self._left.get(name) is not None

    def take(self, name: str) -> object:
        """The raw value, or None."""
        return self._left.pop(name, None)

    def text(self, name: str, default: str | None = "", *, longest: int = 255) -> str:
        """A string; `default=None` makes it required."""
        value = self.take(name)
        if value is None:
            if default is None:
                self.problem(name, "is missing")
            return default or ""
        if not isinstance(value, str) or len(value) > longest or "\x00" in value:
            self.problem(name, f"must be text of at most {longest} characters, not {value!r}")
            return ""
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.take(name)
        if value is None:
            return default
        if value not in allowed:
            self.problem(name, f"must be one of {', '.join(allowed)}, not {value!r}")
            return default
        return str(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(name, f"must be true or false, not {value!r}")
            return default
        return value

    def whole(
        self, name: str, default: int = 0, *, least: int = 0, most: int = 2_147_483_647
    ) -> int:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.problem(name, f"must be a whole number from {least} to {most}, not {value!r}")
            return default
        return value

    def seconds(self, name: str, default: float) -> float:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
            self.problem(name, f"must be seconds, above 0 and at most 86400, not {value!r}")
            return default
        return float(value)

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, list) or not all(
            isinstance(item, str) and 0 < len(item) <= 32 for item in value
        ):
            self.problem(name, f"must be a list of short names, not {value!r}")
            return default
        return tuple(dict.fromkeys(value))

    def parsed(self, name: str, parse: Callable[[object], Parsed]) -> Parsed | None:
        """What `parse` makes of the value; its ValueError is a problem of this field."""
        value = self.take(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.problem(name, str(error))
            return None

    def section(self, name: str) -> "Section":
        return Section(self.take(name), (*self.path, name), self.source)

    def sections(self, name: str) -> Iterator["Section"]:
        value = self.take(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.problem(name, f"must be a list, not {value!r}")
            return
        for index, item in enumerate(value):
            path = (*self.path, name, index)
            if not isinstance(item, Mapping):
                self.source.add(path, f"must be a mapping, not {item!r}")
            else:
                yield Section(item, path, self.source)

    def names(self) -> list[str]:
        """The fields not yet taken, in their order."""
        return list(self._left)

    def close(self) -> None:
        """What nobody took is unknown."""
        for name in self._left:
            self.problem(name, "is unknown here")
        self._left = {}
