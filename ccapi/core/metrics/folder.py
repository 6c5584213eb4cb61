"""The figures of all processes: the files of those that live, and the sum of those that ended.

A process that starts folds the files of ended ones into `ended.json`, so that counters never go
back and nothing piles up. Readers and folders exclude each other by a lock on the folder.
"""

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from ccapi.core.metrics.cells import SLOT_BYTES, SLOTS, SUFFIX, Labels
from ccapi.core.metrics.families import FAMILIES, Family, Gauge

log = structlog.get_logger(__name__)

ENDED = "ended.json"

Series = dict[tuple[str, Labels], list[float]]  # metric and labels → its slots


class Ended(msgspec.Struct):
    """What ended processes have counted. `files`: already in it, should they still be there."""

    files: list[str] = []
    series: list[tuple[str, list[str], list[float]]] = []


_Line = msgspec.json.Decoder(tuple[int, int, str, list[str]])


def collect(folder: Path) -> Series:
    """Every series of the folder's processes, as one."""
    total: Series = {}
    with _locked(folder, fcntl.LOCK_SH):
        ended = _read_ended(folder)
        _add_ended(total, ended)
        for path in _files(folder):
            if path.name not in ended.files:
                merge(total, read(path), is_alive=_is_alive(path))
    return total


def fold(folder: Path) -> int:
    """Take the files of ended processes into `ended.json`, and remove them; how many."""
    with _locked(folder, fcntl.LOCK_EX):
        dead = [path for path in _files(folder) if not _is_alive(path)]
        if not dead:
            return 0
        ended = _read_ended(folder)
        total: Series = {}
        _add_ended(total, ended)
        for path in dead:
            if path.name not in ended.files:
                merge(total, read(path), is_alive=False)
        kept = Ended(
            files=[path.name for path in dead],
            series=[(name, list(labels), slots) for (name, labels), slots in total.items()],
        )
        new = folder / f"{ENDED}.new"
        new.write_bytes(msgspec.json.encode(kept))
        new.replace(folder / ENDED)
        for path in dead:
            path.unlink(missing_ok=True)
    return len(dead)


def merge(total: Series, found: Series, *, is_alive: bool) -> None:
    """Add one process's series; gauges only of one that lives. Unknown metrics are left out."""
    for (name, labels), slots in found.items():
        family = FAMILIES.get(name)
        if family is None or not _fits(family, labels, slots):
            continue
        before = total.get((name, labels))
        if isinstance(family, Gauge):
            if is_alive:
                total[name, labels] = slots if before is None else [_merged(family, before, slots)]
        elif before is None:
            total[name, labels] = slots
        else:
            total[name, labels] = [a + b for a, b in zip(before, slots, strict=True)]


def _merged(family: Gauge, before: list[float], slots: list[float]) -> float:
    return max(before[0], slots[0]) if family.merge == "max" else before[0] + slots[0]


def _fits(family: Family, labels: Labels, slots: list[float]) -> bool:
    """Whether a series is of this version's making (a file may be of the one before)."""
    return len(labels) == len(family.labels) and len(slots) == family.width


def read(path: Path) -> Series:
    """One process's series; what it was writing in this moment may be missing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    values = memoryview(data[: SLOTS * SLOT_BYTES]).cast("d")
    found: Series = defaultdict(list)
    for line in data[SLOTS * SLOT_BYTES :].splitlines():
        try:
            slot, width, name, labels = _Line.decode(line)
        except msgspec.DecodeError:  # its writer died, or is, within the line
            continue
        found[name, tuple(labels)] = list(values[slot : slot + width])
    return found


def _add_ended(total: Series, ended: Ended) -> None:
    found: Series = {(name, tuple(labels)): slots for name, labels, slots in ended.series}
    merge(total, found, is_alive=False)


def _read_ended(folder: Path) -> Ended:
    try:
        return msgspec.json.decode((folder / ENDED).read_bytes(), type=Ended)
    except FileNotFoundError:
        return Ended()
    except msgspec.DecodeError as error:
        log.warning("metrics.ended_unreadable", error=str(error))
        return Ended()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _is_alive(path: Path) -> bool:
    """Whether the writer still holds its lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
