"""Series → Prometheus' text format (version 0.0.4)."""

from collections import defaultdict

from ccapi.core.metrics.cells import Labels
from ccapi.core.metrics.families import FAMILIES, Family, Histogram
from ccapi.core.metrics.folder import Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def render(series: Series) -> str:
    """Every family that has series, in the order of its name."""
    by_name: defaultdict[str, list[tuple[Labels, list[float]]]] = defaultdict(list)
    for (name, labels), slots in series.items():
        by_name[name].append((labels, slots))
    lines: list[str] = []
    for name in sorted(by_name):
        family = FAMILIES[name]
        lines.append(f"# HELP {name} {family.help}")
        lines.append(f"# TYPE {name} {family.kind}")
        for labels, slots in sorted(by_name[name]):
            lines += _samples(family, labels, slots)
    return "\n".join(lines) + "\n"


def _samples(family: Family, labels: Labels, slots: list[float]) -> list[str]:
    pairs = list(zip(family.labels, labels, strict=True))
    if not isinstance(family, Histogram):
        return [_sample(family.name, pairs, slots[0])]
    lines = []
    count = 0.0
    for bound, slot in zip((*family.bounds, float("inf")), slots, strict=False):
        count += slot
        shown = "+Inf" if bound == float("inf") else repr(bound)
        lines.append(_sample(f"{family.name}_bucket", [*pairs, ("le", shown)], count))
    lines.append(_sample(f"{family.name}_sum", pairs, slots[-1]))
    lines.append(_sample(f"{family.name}_count", pairs, count))
    return lines


def _sample(name: str, pairs: list[tuple[str, str]], value: float) -> str:
    shown = repr(int(value)) if value.is_integer() else repr(value)
    if not pairs:
        return f"{name} {shown}"
    inside = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in pairs)
    return f"{name}{{{inside}}} {shown}"
