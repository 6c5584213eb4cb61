import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccapi.core.metrics import ALERTS, exposition, folder, port, sampler
from ccapi.core.metrics.cells import SLOT_BYTES, SLOTS, SPARE, Cells
from ccapi.core.metrics.families import FAMILIES, Counter, Gauge, Histogram

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def families() -> Iterator[None]:
    """Metrics of the tests alone, next to the real ones."""
    Counter("test_total", "Counted.", ("word",))
    Gauge("test_open", "Now.")
    Gauge("test_age", "The oldest.", merge="max")
    Histogram("test_seconds", "How long.", ("word",), bounds=(0.1, 1.0))
    yield
    for name in ("test_total", "test_open", "test_age", "test_seconds"):
        del FAMILIES[name]


class Process:
    """A process's figures, as far as others see them: its file and the lock on it."""

    def __init__(self, path: Path) -> None:
        self.cells = Cells()
        assert self.cells.open(path)

    def set(self, name: str, *slots: float, labels: tuple[str, ...] = ()) -> None:
        with self.cells.lock:
            start = self.cells.add_series(name, labels, len(slots))
        for i, slot in enumerate(slots):
            self.cells.values[start + i] = slot

    def die(self) -> None:
        self.cells.forget()  # closes the file, which lets go of its lock


def test_processes_add_up_and_an_ended_one_leaves_its_counters_and_not_its_gauges(
    tmp_path: Path,
) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    for process, count in ((first, 3.0), (second, 4.0)):
        process.set("test_total", count, labels=("a",))
        process.set("test_open", count)
        process.set("test_age", count)
    both = folder.collect(tmp_path)

    first.die()

    assert both == {("test_total", ("a",)): [7], ("test_open", ()): [7], ("test_age", ()): [4]}
    left = {("test_total", ("a",)): [7], ("test_open", ()): [4], ("test_age", ()): [4]}
    assert folder.collect(tmp_path) == left
    assert folder.fold(tmp_path) == 1
    assert folder.fold(tmp_path) == 0
    assert len(list(tmp_path.glob("*.cells"))) == 1
    assert folder.collect(tmp_path) == left


def test_a_file_that_was_folded_and_is_still_there_counts_once(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.set("test_total", 5.0, labels=("a",))
    process.die()
    (path,) = tmp_path.glob("*.cells")
    shutil.copy(path, tmp_path / "aside")
    folder.fold(tmp_path)

    (tmp_path / "aside").rename(path)  # as if killed before it was removed

    assert folder.collect(tmp_path) == {("test_total", ("a",)): [5]}
    folder.fold(tmp_path)
    assert folder.collect(tmp_path) == {("test_total", ("a",)): [5]}


def test_what_another_version_counted_and_a_torn_line_are_left_out(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.set("test_total", 1.0, labels=("a",))
    process.set("gone_total", 1.0)
    process.set("test_total", 1.0, labels=("a", "more"))
    process.set("test_seconds", 1.0, 1.0, labels=("a",))
    (path,) = tmp_path.glob("*.cells")
    with path.open("ab") as file:
        file.write(b'[9, 1, "test_to')

    assert folder.collect(tmp_path) == {("test_total", ("a",)): [1]}


def test_an_unreadable_sum_of_the_ended_is_begun_anew(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.set("test_total", 2.0, labels=("a",))
    (tmp_path / folder.ENDED).write_text("{torn")

    assert folder.collect(tmp_path) == {("test_total", ("a",)): [2]}


def test_figures_move_into_the_file_that_is_opened_later(tmp_path: Path) -> None:
    cells = Cells()
    with cells.lock:
        slot = cells.add_series("test_total", ("a",), 1)
    cells.values[slot] += 2

    cells.open(tmp_path)
    cells.values[slot] += 1

    assert folder.collect(tmp_path) == {("test_total", ("a",)): [3]}


def test_a_folder_that_cannot_be_written_leaves_the_figures_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cells = Cells()

    assert not cells.open(tmp_path / "file" / "folder")
    cells.values[0] += 1

    assert cells.values[0] == 1


def test_too_many_series_share_slots_that_nobody_is_told_of(tmp_path: Path) -> None:
    process = Process(tmp_path)
    for i in range(SLOTS + 10):
        process.set("test_total", 1.0, labels=(str(i),))

    found = folder.collect(tmp_path)

    assert len(found) == SLOTS - SPARE
    assert all(slots == [1] for slots in found.values())
    (path,) = tmp_path.glob("*.cells")
    assert path.stat().st_size > SLOTS * SLOT_BYTES


def test_a_histogram_is_cumulative_and_labels_survive_what_they_hold() -> None:
    odd = 'quote " backslash \\ line\nbreak {} , ='

    text = exposition.render({("test_seconds", (odd,)): [1, 2, 4, 9.5]})

    (family,) = text_string_to_metric_families(text)
    assert family.type == "histogram"
    assert {sample.labels["word"] for sample in family.samples} == {odd}
    by_name = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert by_name == {
        ("test_seconds_bucket", "0.1"): 1,
        ("test_seconds_bucket", "1.0"): 3,
        ("test_seconds_bucket", "+Inf"): 7,
        ("test_seconds_sum", None): 9.5,
        ("test_seconds_count", None): 7,
    }


def test_a_value_on_a_bound_belongs_to_it() -> None:
    histogram = FAMILIES["test_seconds"]
    assert isinstance(histogram, Histogram)
    before = histogram.value(("edge",))

    for value in (0.05, 0.1, 1.0, 2.0):
        histogram.observe(("edge",), value)

    assert histogram.value(("edge",)) == before + 4
    text = exposition.render({("test_seconds", ("edge",)): [2, 1, 1, 3.15]})
    assert 'test_seconds_bucket{word="edge",le="0.1"} 2' in text


def test_additions_of_many_threads_are_all_counted() -> None:
    counter = FAMILIES["test_total"]
    assert isinstance(counter, Counter)

    def add() -> None:
        for _ in range(20_000):
            counter.add(("threads",))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counter.value(("threads",)) == 80_000


def test_a_series_with_the_wrong_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        ALERTS.add(("one", "too many"))


FORK = """
import json, os, sys
from pathlib import Path
from ccapi.core.metrics import ALERTS, folder
from ccapi.core.metrics.cells import cells
path = Path(sys.argv[1])
cells.open(path)
ALERTS.add(("parent",))
if os.fork() == 0:
    ALERTS.add(("parent",), 10.0)
    ALERTS.add(("child",))
    alone = ALERTS.value(("parent",))
    cells.open(path)
    ALERTS.add(("child",))
    os._exit(0 if alone == 10 else 1)
ended = os.waitstatus_to_exitcode(os.wait()[1])
found = {labels[0]: slots[0] for (_, labels), slots in folder.collect(path).items()}
print(json.dumps([ended, found]))
"""


def test_a_forked_child_counts_for_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "ccapi.settings"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, {"parent": 11, "child": 2}]


def test_the_port_answers_metrics_and_nothing_else(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.set("test_total", 5.0, labels=("port",))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    server = port.Server("127.0.0.1", number, tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    twin = port.Server("127.0.0.1", number, tmp_path)  # another process, as far as sockets go
    twin.server_close()
    try:
        answer = httpx2.get(f"http://127.0.0.1:{number}/metrics")
        other = httpx2.get(f"http://127.0.0.1:{number}/")
    finally:
        server.shutdown()
        server.server_close()

    assert 'test_total{word="port"} 5' in answer.text
    assert answer.headers["content-type"] == exposition.CONTENT_TYPE
    assert other.status_code == 404


def test_a_port_that_somebody_else_has_is_an_error_of_the_start_alone(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(OSError, match="in use"):
            port.Server("127.0.0.1", taken.getsockname()[1], tmp_path)


def test_a_figure_that_cannot_be_had_leaves_the_others_alone() -> None:
    told: list[str] = []

    def broken() -> None:
        told.append("broken")
        raise ZeroDivisionError

    def sound() -> None:
        told.append("sound")

    try:
        sampler.register(broken)
        sampler.register(sound)
        sampler.register(sound)
        sampler.sample_all()
    finally:
        sampler.forget(broken)
        sampler.forget(sound)

    assert told == ["broken", "sound"]
    assert sampler.CPU.value() > 0
