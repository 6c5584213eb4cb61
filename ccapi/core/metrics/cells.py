"""Where figures are kept: numbers in a file of this process that the others can read.

A metric's series is a run of slots in one array of doubles, mapped from the file, so that counting
is an addition in memory (0.9 µs measured; prometheus_client's files cost 2 to 4 times that, and
leave one behind for every process that ever was) and a killed process loses nothing. Until `open`
the array is private memory. What the figures mean is `families`; who reads the files is `folder`.

The file: SLOTS doubles, then a JSON line for each series: `[slot, width, name, [labels]]`. Its
writer holds it under an exclusive lock (flock) for life.
"""

import fcntl
import mmap
import os
import sys
import threading
from pathlib import Path
from uuid import uuid4

import orjson
import structlog

log = structlog.get_logger(__name__)

SLOTS = 16_384
SPARE = 64  # of them: what finds no room; wider than any series
SLOT_BYTES = 8
SUFFIX = ".cells"

Labels = tuple[str, ...]


class Cells:
    """The figures of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # an addition is two steps, and Django has threads
        self.values = _private()
        self._used = 0
        self._lines: list[bytes] = []  # of every series, to be written once there is a file
        self._fd: int | None = None
        self._is_full = False

    def add_series(self, name: str, labels: Labels, width: int) -> int:
        """The first of `width` new slots. Call it under the lock.

        Once they are used up everything lands in the last ones, which belong to nobody.
        """
        if self._used + width > SLOTS - SPARE:
            if not self._is_full:
                self._is_full = True
                log.error("metrics.full", slots=SLOTS, metric=name)
            return SLOTS - SPARE
        slot = self._used
        self._used += width
        line = orjson.dumps([slot, width, name, labels]) + b"\n"
        self._lines.append(line)
        if self._fd is not None:
            os.write(self._fd, line)
        return slot

    def open(self, folder: Path) -> bool:
        """Move the figures to a file in the folder; False, and in memory still, where it cannot be.

        The space is taken in advance: a full disk is an error here and not a signal at a write.
        """
        with self.lock:
            if self._fd is not None:
                return True
            try:
                fd = _new_file(folder)
            except OSError as error:
                log.warning("metrics.no_file", error=str(error))
                return False
            mapped = memoryview(mmap.mmap(fd, SLOTS * SLOT_BYTES)).cast("d")
            mapped[:] = self.values
            os.write(fd, b"".join(self._lines))
            self.values, self._fd = mapped, fd
            return True

    def forget(self) -> None:
        """Begin at nothing, in memory of our own: a forked child is not its parent."""
        self.lock = threading.Lock()
        self.values = _private()
        if self._fd is not None:
            os.close(self._fd)  # the parent's lock stays with the parent
        self._fd = None


def _private() -> "memoryview[float]":
    return memoryview(bytearray(SLOTS * SLOT_BYTES)).cast("d")


def _new_file(folder: Path) -> int:
    """A file of our own, locked before it has the name that others look for."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{uuid4().hex[:8]}"
    hidden = folder / f"{name}.new"
    fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if sys.platform == "darwin":  # has no such call
            os.ftruncate(fd, SLOTS * SLOT_BYTES)
        else:
            os.posix_fallocate(fd, 0, SLOTS * SLOT_BYTES)
        hidden.rename(folder / f"{name}{SUFFIX}")
    except OSError:
        os.close(fd)
        hidden.unlink(missing_ok=True)
        raise
    return fd


cells = Cells()
os.register_at_fork(after_in_child=cells.forget)
