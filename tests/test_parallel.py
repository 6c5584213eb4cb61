"""How files and lone tests are handed to workers, with workers that only take notes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import databases
from tests.parallel import HOMES, Schedule

HOME = next(home for home, most in HOMES.items() if most == 1)
ALONE = ["tests/core/test_c.py::test_measures@alone", f"{HOME}test_a.py::test_measures[x]@alone"]


class Noting:
    """A worker: what it was given and has not yet run."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.shutting_down
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """A whole run, a test of each worker in turn; `order` is who ran what."""

    def __init__(self, tests: list[str], workers: int) -> None:
        self.tests = tests
        self.schedule = Schedule(workers)
        self.workers = [Noting() for _ in range(workers)]
        self.order: list[tuple[Noting, str]] = []
        for worker in self.workers:
            self.schedule.add_node(worker)
            self.schedule.add_node_collection(worker, tests)
        assert self.schedule.collection_is_completed
        self.schedule.schedule()

    def step(self) -> bool:
        """One more test of each; whether there was any."""
        before = len(self.order)
        for worker in list(self.workers):
            # As xdist has it: the last one is begun when the next is known, or that there is none.
            if len(worker.given) > 1 or (worker.given and worker.shutting_down):
                number = worker.given.pop(0)
                self.order.append((worker, self.tests[number]))
                self.schedule.mark_test_complete(worker, number)
            elif worker.shutting_down:
                self.end(worker)
        if self.schedule.tests_finished:  # then xdist lets all end
            for worker in self.workers:
                worker.shutdown()
        return len(self.order) > before or bool(self.workers)

    def end(self, worker: Noting) -> str | None:
        self.workers.remove(worker)
        return self.schedule.remove_node(worker)

    def to_its_end(self) -> "Run":
        for _ in range(10 * len(self.tests) + 100):
            if not self.step():
                return self
        raise AssertionError(f"it stands still: {self.order}")


def files(folder: str, count: int, tests: int = 5) -> list[str]:
    return [f"{folder}test_{n}.py::test_{m}" for n in range(count) for m in range(tests)]


def test_every_test_is_run_once_and_a_file_by_one_worker() -> None:
    tests = [*files("tests/core/", 9), *files(HOME, 3), *files("tests/guard/", 7, tests=1)]

    run = Run(tests, 3).to_its_end()

    assert sorted(test for _, test in run.order) == sorted(tests)
    by_file = {(test.partition("::")[0], worker) for worker, test in run.order}
    assert len(by_file) == 9 + 3 + 7
    assert len({worker for worker, _ in run.order}) == 3


def test_a_home_has_no_more_workers_than_told_and_is_begun_first() -> None:
    run = Run([*files("tests/core/", 9), *files(HOME, 6)], 4).to_its_end()

    assert len({worker for worker, test in run.order if test.startswith(HOME)}) == 1
    assert any(test.startswith(HOME) for _, test in run.order[:4])


def test_what_measures_is_run_last_by_the_worker_that_is_left() -> None:
    run = Run([*ALONE, *files("tests/core/", 9), *files(HOME, 3)], 4)
    while not any(test in ALONE for _, test in run.order):
        assert run.step()

    assert len(run.workers) == 1
    assert len(run.order) > 9 * 5 + 3 * 5
    assert [test for _, test in run.to_its_end().order[-2:]] == ALONE


def test_nothing_but_what_measures_is_run_as_well() -> None:
    assert [test for _, test in Run(ALONE, 3).to_its_end().order] == ALONE
    assert not Run([], 2).to_its_end().order


def test_what_a_worker_leaves_that_crashes_is_done_by_others() -> None:
    tests = [*files("tests/core/", 9), *ALONE]
    run = Run(tests, 3)
    run.step()

    crashed = run.end(run.workers[0])
    substitute = Noting()
    run.workers.append(substitute)
    run.schedule.add_node(substitute)
    run.schedule.add_node_collection(substitute, tests)
    run.schedule.schedule()
    run.to_its_end()

    assert crashed is not None
    assert sorted(test for _, test in run.order) == sorted({*tests} - {crashed})
    assert any(worker is substitute for worker, _ in run.order)


OUTCOMES = """
import os, pytest

@pytest.fixture
def product():
    yield
    assert "afterwards" != os.environ["BROKEN"]

def test_a(product):
    assert "meanwhile" != os.environ["BROKEN"]
    if os.environ["BROKEN"] == "crash":
        os._exit(1)
"""


@pytest.mark.parametrize(
    ("broken", "code"), [("nothing", 0), ("meanwhile", 1), ("afterwards", 10), ("crash", 10)]
)
def test_what_only_all_tests_together_break_is_told_by_the_exit_code(
    tmp_path: Path, broken: str, code: int
) -> None:
    file = tmp_path / "test_outcomes.py"
    file.write_text(OUTCOMES)
    ours = ("-p", "tests.conftest", "--ds", "ccapi.settings", "-p", "no:cacheprovider", "-n", "1")
    there = ("--rootdir", tmp_path, "-c", "/dev/null", "--max-worker-restart", "0", file)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *ours, *there],
        cwd=databases.ROOT,
        env={**os.environ, "BROKEN": broken},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code, done.stdout + done.stderr
