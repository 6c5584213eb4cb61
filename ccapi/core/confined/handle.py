"""A keeper as the process holds it that has started it: its start, what it is told, its end."""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

from ccapi.core.confined import wire
from ccapi.core.confined.cell import close_memory

ROOT = Path(__file__).parents[3]
# Of our environment, since the interpreter itself may need them to be found.
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class KeeperGone(Exception):
    """It has died, or does not do what it is told."""


class Handle:
    """One keeper. Its methods do not wait, but for its start and end, which take milliseconds."""

    def __init__(self, module: str) -> None:
        """Raises: OSError."""
        close_memory()
        self._owner = os.getpid()
        self._numbers = itertools.count()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        options = ["-B"] if sys.dont_write_bytecode else []
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-E", "-s", *options, "-m", "ccapi.core.confined.keeper", module],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                # numpy's threads would be lost in a fork.
                env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", **environment},
                start_new_session=True,  # a terminal's Ctrl-C is for us
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ours(self) -> bool:
        """Not that of the process that has forked us."""
        return self._owner == os.getpid()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def start(self, *, seconds: float, memory_bytes: int) -> tuple[int, socket.socket]:
        """Have a cell forked: its number, and our end of its socket. Raises: OSError."""
        number = next(self._numbers)
        record = wire.RECORD.pack(wire.START, number, seconds, memory_bytes)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, contextlib.ExitStack() as failed:
            failed.enter_context(ours)
            socket.send_fds(self._control, [record], [theirs.fileno()])
            failed.pop_all()
        return number, ours

    def stop(self, number: int) -> None:
        """End a cell, whatever it is doing; most have ended by then."""
        with contextlib.suppress(OSError):  # who is gone has ended its cells
            self._control.send(wire.RECORD.pack(wire.STOP, number, 0.0, 0))

    def kill(self) -> None:
        self._control.close()
        if self.is_ours:
            self._process.kill()
            self._process.wait()
