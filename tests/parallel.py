"""How a run with `-n` is spread over workers: which files, in which order, which tests alone.

pytest-xdist starts the workers and carries the reports. A file is run by one worker, from its first
test to its last, so that what is built for a file or a folder is not built by everybody.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import pytest

# What takes long begins early, so that the end is not one worker's. Each of these folders has a
# product that its tests share; no more workers than told build it.
HOMES = {
    "tests/devserver/": 1,
    "tests/e2e/": 2,
    "tests/openapi/": 1,
    "tests/media_jobs/": 2,
    "tests/deploy/": 1,
    "tests/billing/": 4,
}
# Tests in this `xdist_group` measure time or memory, of which a loaded machine has its own idea:
# after all others, on one worker.
ALONE = "alone"
# A worker begins a test when it knows the one that follows, whose fixtures it keeps.
AHEAD = 2


class Worker(Protocol):
    """What is used of xdist's `WorkerController`."""

    @property
    def shutting_down(self) -> bool: ...
    def send_runtest_some(self, indices: Sequence[int]) -> None: ...
    def shutdown(self) -> None: ...


class Schedule:
    """Files in the order of `HOMES`, the group `ALONE` on a worker that has outlived the others.

    Called by xdist, as its own kinds of scheduling are.
    """

    def __init__(self, workers: int) -> None:
        self._workers_expected = workers
        self._collected: dict[Worker, list[str]] = {}
        self._tests: list[str] = []  # by their numbers, the same in all workers
        self._queue: dict[str, list[int]] = {}  # files that nobody has begun
        self._pending: dict[Worker, list[int]] = {}
        self._homes: dict[str, set[Worker]] = {home: set() for home in HOMES}

    @property
    def nodes(self) -> list[Worker]:
        """The workers there are."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._collected) >= self._workers_expected

    @property
    def tests_finished(self) -> bool:
        """Whether everything is handed out, but for the last test of each worker."""
        is_handed_out = self.collection_is_completed and not self._queue
        return is_handed_out and all(len(each) < AHEAD for each in self._pending.values())

    @property
    def has_pending(self) -> bool:
        return bool(self._queue) or any(self._pending.values())

    def add_node(self, node: Worker) -> None:
        """A worker has started; it collects."""
        self._pending[node] = []

    def add_node_collection(self, node: Worker, collection: Sequence[str]) -> None:
        """What a worker has collected; raises where it is not what the others have."""
        self._collected[node] = list(collection)
        first = next(iter(self._collected.values()))
        if first != self._collected[node]:
            differing = sorted({*first} ^ {*collection}) or "their order"
            raise pytest.UsageError(f"The workers collected different tests: {differing}")

    def schedule(self) -> None:
        """All have collected, or somebody has taken the place of one that crashed."""
        if not self._tests:
            self._tests = next(iter(self._collected.values()))
            files: dict[str, list[int]] = {}
            for number, test in enumerate(self._tests):
                files.setdefault(unit_of(test), []).append(number)
            self._queue = {file: files[file] for file in in_order(files)}
        for _ in range(AHEAD):  # nobody gets a second file before everybody has one
            for node in self.nodes:
                self._supply(node)

    def mark_test_complete(self, node: Worker, item_index: int, duration: float = 0) -> None:
        """A worker has run a test."""
        self._pending[node].remove(item_index)
        self._supply(node)

    def remove_node(self, node: Worker) -> str | None:
        """A worker has ended; the test in which it crashed, if it did.

        The others take its tests over, and those who wait for quiet may have it now.
        """
        left = self._pending.pop(node)
        for home in self._homes.values():
            home.discard(node)
        for number in left[1:]:
            self._queue.setdefault(unit_of(self._tests[number]), []).append(number)
        for other in self.nodes:
            self._supply(other)
        return self._tests[left[0]] if left else None

    def _supply(self, node: Worker) -> None:
        if node.shutting_down or len(self._pending[node]) > AHEAD:
            return
        unit = self._next_for(node)
        if unit is not None:
            numbers = self._queue.pop(unit)
            self._pending[node] += numbers
            node.send_runtest_some(numbers)
        elif not self._queue or any(
            not other.shutting_down for other in self.nodes if other is not node
        ):
            node.shutdown()  # it runs what it has, and ends the products that it has built

    def _next_for(self, node: Worker) -> str | None:
        """A file that this worker may have now."""
        for unit in self._queue:
            home = home_of(unit)
            if unit == ALONE:
                if len(self.nodes) == 1:
                    return unit
            elif home is None:
                return unit
            elif node in self._homes[home] or len(self._homes[home]) < HOMES[home]:
                self._homes[home].add(node)
                return unit
        return None


def unit_of(test: str) -> str:
    """What is handed out at once: a file, or the group that xdist has written behind the test."""
    return ALONE if test.endswith(f"@{ALONE}") else test.partition("::")[0]


def home_of(file: str) -> str | None:
    return next((home for home in HOMES if file.startswith(home)), None)


def in_order(units: Iterable[str]) -> list[str]:
    """As they are to begin."""
    homes = list(HOMES)

    def rank(unit: str) -> tuple[bool, int]:
        home = home_of(unit)
        return unit == ALONE, homes.index(home) if home else len(homes)

    return sorted(units, key=rank)
