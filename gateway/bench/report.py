"""What the runs say: one figure a row, one target a column, medians with their range."""

import statistics
from collections.abc import Callable

import msgspec

from gateway.bench.load import Result
from gateway.bench.runs import CACHE, DATABASE, GATEWAY, Results, Target


class Figure(msgspec.Struct, frozen=True):
    """Something measured, and how. `goal`: the most that the project wants of itself, if any."""

    label: str
    scenario: str
    read: Callable[[Result], float | None]
    digits: int
    goal: float | None = None


class Measured(msgspec.Struct, frozen=True):
    """Median and range of the runs."""

    median: float
    lowest: float
    highest: float


def _cpu(name: str, unit: float) -> Callable[[Result], float | None]:
    """CPU time for each answer, in seconds / `unit`."""

    def read(result: Result) -> float | None:
        spent = result.cpu_s.get(name)
        return spent * unit / result.answered if spent is not None and result.answered else None

    return read


def _cpu_of_event(result: Result) -> float | None:
    spent = result.cpu_s.get(GATEWAY)
    return None if spent is None or not result.events else spent * 1e6 / result.events


FIGURES = (
    Figure("JSON: CPU, ms a request", "json", _cpu(GATEWAY, 1e3), 3, 0.15),
    Figure("JSON: requests a second, measured", "json", lambda r: r.answered / r.seconds, 0),
    Figure("JSON: p50 of 32 at once, ms", "json", lambda r: r.p50_ms, 2),
    Figure("JSON: p99 of 32 at once, ms", "json", lambda r: r.p99_ms, 2),
    Figure("JSON: PostgreSQL's CPU, ms a request", "json", _cpu(DATABASE, 1e3), 3),
    Figure("JSON: Valkey's CPU, ms a request", "json", _cpu(CACHE, 1e3), 3),
    Figure("one-chunk stream: CPU, ms", "stream", _cpu(GATEWAY, 1e3), 3, 0.20),
    Figure("paced streams: CPU, µs an event", "paced", _cpu_of_event, 1, 40),
    Figure("paced streams: events a second", "paced", lambda r: r.events / r.seconds, 0),
    Figure("paced streams: first byte p50, ms", "paced", lambda r: r.first_p50_ms, 2),
    Figure("paced streams: gap between events p99, ms", "paced", lambda r: r.gap_p99_ms, 1),
    Figure("memory after that, MB", "paced", lambda r: r.memory_mb.get(GATEWAY), 0, 150),
    Figure("one connection: p50, ms", "single", lambda r: r.p50_ms, 2),
)
ADDED = "one connection: added to p50, ms"
ADDED_GOAL = 0.5
FAILED = "failed requests"


class Report(msgspec.Struct, frozen=True):
    """`measured`: by figure and target."""

    targets: list[str]
    measured: dict[str, dict[str, Measured]]
    goals: dict[str, float]
    failed: dict[str, int]
    conditions: str

    def text(self) -> str:
        """A table for a person."""
        head = ["", *self.targets, "goal"]
        rows = [head]
        digits = {figure.label: figure.digits for figure in FIGURES} | {ADDED: 2}
        for label, by_target in self.measured.items():
            cells = [_shown(by_target.get(name), digits[label]) for name in self.targets]
            goal = self.goals.get(label)
            rows.append([label, *cells, "" if goal is None else f"{goal:g}"])
        rows.append([FAILED, *(str(self.failed[name]) for name in self.targets), "0"])
        widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*lines, "", self.conditions]) + "\n"

    def json(self) -> dict[str, object]:
        built: dict[str, object] = msgspec.to_builtins(self)
        return built


def report(results: Results, targets: list[Target], conditions: str) -> Report:
    """The figures of all targets."""
    names = [target.name for target in targets if not target.is_upstream]
    upstream = next((target.name for target in targets if target.is_upstream), "")
    measured: dict[str, dict[str, Measured]] = {}
    for figure in FIGURES:
        for name in names:
            runs = results.get((figure.scenario, name), [])
            values = [value for each in runs if (value := figure.read(each)) is not None]
            if values:
                measured.setdefault(figure.label, {})[name] = _of(values)
    alone = results.get(("single", upstream), [])
    for name in names:
        through = results.get(("single", name), [])
        added = [one.p50_ms - other.p50_ms for one, other in zip(through, alone, strict=True)]
        measured.setdefault(ADDED, {})[name] = _of(added)
    goals = {figure.label: figure.goal for figure in FIGURES if figure.goal is not None}
    return Report(
        targets=names,
        measured=measured,
        goals={**goals, ADDED: ADDED_GOAL},
        failed={
            name: sum(
                each.failed
                for (_, whose), runs in results.items()
                for each in runs
                if whose == name
            )
            for name in names
        },
        conditions=conditions,
    )


def _of(values: list[float]) -> Measured:
    return Measured(statistics.median(values), min(values), max(values))


def _shown(measured: Measured | None, digits: int) -> str:
    if measured is None:
        return "-"
    middle = f"{measured.median:.{digits}f}"
    lowest, highest = f"{measured.lowest:.{digits}f}", f"{measured.highest:.{digits}f}"
    return middle if lowest == highest else f"{middle} [{lowest}-{highest}]"
