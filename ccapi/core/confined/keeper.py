"""The process that forks cells: `python -m ccapi.core.confined.keeper MODULE`, told on its stdin.

It loads the module once, so that a fork costs milliseconds, and ends who takes too long or is no
longer wanted. It never sees the bytes that are worked on. Its stdin is a socket of the process that
started it: when that ends, by whatever death, this one ends too and takes its cells along.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from types import ModuleType
from typing import NamedTuple

from ccapi.core.confined import cell, wire


class Running(NamedTuple):
    pid: int
    until: float  # of time.monotonic()


class Keeper:
    def __init__(self, module: ModuleType, control: socket.socket) -> None:
        self._module = module
        self._control = control
        self._cells: dict[int, Running] = {}
        self._pid = os.getpid()

    def serve(self) -> None:
        """Until the other end is closed."""
        while self._turn():
            now = time.monotonic()
            for number in [each for each, one in self._cells.items() if one.until <= now]:
                self._end(number)
        for number in list(self._cells):
            self._end(number)

    def _turn(self) -> bool:
        """Hear one record, or wait until a cell's time is over. False: that was all."""
        wait_s = None
        if self._cells:
            first = min(one.until for one in self._cells.values())
            wait_s = max(0.0, first - time.monotonic())
        if not select.select([self._control], [], [], wait_s)[0]:
            return True
        record, descriptors, _, _ = socket.recv_fds(self._control, wire.RECORD.size, 1)
        if len(record) < wire.RECORD.size:
            return False
        verb, number, seconds, memory = wire.RECORD.unpack(record)
        if verb == wire.START:
            with socket.socket(fileno=descriptors[0]) as job:
                self._start(number, job, seconds=seconds, memory=memory)
        else:
            self._end(number)
        return True

    def _start(self, number: int, job: socket.socket, *, seconds: float, memory: int) -> None:
        until = time.monotonic() + seconds
        pid = os.fork()
        if pid:
            self._cells[number] = Running(pid, until)
            return
        try:
            cell.work(self._module, job, keeper=self._pid, seconds=seconds, memory=memory)
        finally:
            os._exit(0)  # nothing of the keeper's is tidied up by a copy of it

    def _end(self, number: int) -> None:
        """Whether it has ended by itself or not: its number is its own until it is waited for."""
        running = self._cells.pop(number, None)
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)
            os.waitpid(running.pid, 0)


def main(name: str) -> None:
    _offer_to_the_oom_killer()  # before it is no longer ours to write
    cell.close_memory()
    module = importlib.import_module(name)
    os.chdir("/")
    gc.disable()
    gc.freeze()  # a collection would copy pages that cells share
    control = socket.socket(fileno=0)
    with contextlib.suppress(ConnectionResetError):  # what it sent last was not read
        Keeper(module, control).serve()


def _offer_to_the_oom_killer() -> None:
    """Where memory is short, this process or its cells are the first to go (Linux)."""
    with contextlib.suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)


if __name__ == "__main__":
    main(sys.argv[1])
