"""Counters, gauges and histograms: names with labels, and what counts into them.

Hot: an `add` or `observe` is a dictionary look-up and an addition. Labels are a tuple in the order
of the family's label names; their values must be few (catalog names, codes), never an
organization, a key or anything that a client has written.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from ccapi.core.metrics.cells import Labels, cells

# How a gauge of several processes becomes one figure.
Merge = Literal["sum", "max"]

FAMILIES: dict[str, "Family"] = {}


class Family:
    """One metric: its name, what it means, its labels, and its series in this process."""

    kind: str = "untyped"

    def __init__(self, name: str, help_text: str, labels: Labels = (), *, width: int = 1) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self.width = width
        self._slots: dict[Labels, int] = {}
        FAMILIES[name] = self

    def _slot(self, labels: Labels) -> int:
        """The slot of a series that is new here."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}.")
        with cells.lock:
            slot = self._slots.get(labels)
            if slot is None:
                slot = self._slots[labels] = cells.add_series(self.name, labels, self.width)
        return slot

    def value(self, labels: Labels = ()) -> float:
        """The figure of this process (of a histogram: how many were observed)."""
        slot = self._slots.get(labels)
        if slot is None:
            return 0.0
        return sum(cells.values[slot : slot + max(1, self.width - 1)])


class Counter(Family):
    """What only grows."""

    kind = "counter"

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        slot = self._slots.get(labels)
        if slot is None:
            slot = self._slot(labels)
        with cells.lock:
            cells.values[slot] += amount


class Gauge(Family):
    """What goes up and down; processes that have ended do not count."""

    kind = "gauge"

    def __init__(
        self, name: str, help_text: str, labels: Labels = (), *, merge: Merge = "sum"
    ) -> None:
        super().__init__(name, help_text, labels)
        self.merge = merge

    def set(self, value: float, labels: Labels = ()) -> None:
        slot = self._slots.get(labels)
        if slot is None:
            slot = self._slot(labels)
        cells.values[slot] = value


class Histogram(Family):
    """How often which sizes: a slot for each bound, one for what is above, one for the sum."""

    kind = "histogram"

    def __init__(
        self, name: str, help_text: str, labels: Labels = (), *, bounds: Sequence[float]
    ) -> None:
        super().__init__(name, help_text, labels, width=len(bounds) + 2)
        self.bounds = tuple(bounds)

    def observe(self, labels: Labels, value: float) -> None:
        slot = self._slots.get(labels)
        if slot is None:
            slot = self._slot(labels)
        bucket = slot + bisect_left(self.bounds, value)
        last = slot + self.width - 1
        with cells.lock:
            values = cells.values
            values[bucket] += 1.0
            values[last] += value
