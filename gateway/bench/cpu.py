"""CPU time and memory of process trees, as the kernel counts them (Linux)."""

import os
from contextlib import suppress
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def is_known() -> bool:
    """Whether this system tells."""
    return Path("/proc/self/stat").exists()


def tree(root: int) -> set[int]:
    """A process and all that stem from it."""
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _fields(pid))}
    found, fresh = {root}, {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def family(roots: list[int]) -> set[int]:
    """These processes with all that stem from them. Reads all of /proc, which takes a while."""
    return set().union(*(tree(root) for root in roots))


def seconds(pids: set[int]) -> float:
    """User and system time of all threads of exactly these processes, so far."""
    fields = [found for pid in pids if (found := _fields(pid))]
    return sum(int(each[11]) + int(each[12]) for each in fields) * _TICK_S


def memory_mb(roots: list[int]) -> float:
    """Resident memory of the processes themselves, without descendants."""
    fields = [found for pid in roots if (found := _fields(pid))]
    return sum(int(each[21]) for each in fields) * _PAGE_MB


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none where the process is gone."""
    with suppress(OSError):
        # The name in parentheses may hold anything, spaces included.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
