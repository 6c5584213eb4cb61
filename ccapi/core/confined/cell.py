"""A forked process and its one piece of work. It never returns: see `ccapi.core.confined`.

Nothing can be imported once it is confined, since nothing can be opened: modules of work load all
that they need when they are loaded.
"""

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
from types import ModuleType

from ccapi.core.confined import wire

NOBODY = 65534
DESCRIPTORS = 1024  # more than a keeper ever has
CPU_EXTRA_S = 1  # the keeper's clock comes first
_PDEATHSIG, _DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38  # of prctl(2)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def work(
    module: ModuleType, job: socket.socket, *, keeper: int, seconds: float, memory: int
) -> None:
    """Do what is asked for on the socket."""
    _confine(job.fileno(), keeper=keeper, seconds=seconds, memory=memory)
    job.sendall(wire.BEGUN)
    how, data = _answer(module, job)
    job.sendall(wire.ANSWER.pack(how, len(data)))
    job.sendall(data)


def close_memory() -> None:
    """Let nobody of our user read this process's memory, nor what /proc tells of it (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_DUMPABLE, 0, 0, 0, 0)


def _answer(module: ModuleType, job: socket.socket) -> tuple[bytes, bytes]:
    try:
        said, size = wire.REQUEST.unpack(wire.received(job, wire.REQUEST.size))
        function, arguments = json.loads(wire.received(job, said))
        data = wire.received(job, size)
        return wire.DONE, getattr(module, function)(data, **arguments)
    except wire.Refused as refused:
        return wire.REFUSED, refused.word.encode()
    except MemoryError:
        return wire.MEMORY, b""
    except Exception as error:  # noqa: BLE001 - a bug of ours: our process logs it, we cannot
        return wire.FAILED, type(error).__name__.encode()


def _confine(job: int, *, keeper: int, seconds: float, memory: int) -> None:
    os.closerange(0, job)
    os.closerange(job + 1, DESCRIPTORS)
    signal.setitimer(signal.ITIMER_REAL, seconds + CPU_EXTRA_S)  # SIGALRM: it ends
    taken = _address_space()
    _become_nobody()
    if _LIBC is not None:
        # After the change of user, which undoes the first two.
        _LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        close_memory()
        _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)
    if taken:
        _limit(resource.RLIMIT_AS, taken + memory)
    _limit(resource.RLIMIT_CPU, math.ceil(seconds) + CPU_EXTRA_S)
    for nothing in (
        resource.RLIMIT_CORE,
        resource.RLIMIT_FSIZE,
        resource.RLIMIT_NPROC,
        resource.RLIMIT_NOFILE,
    ):
        _limit(nothing, 0)


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - pathlib is not loaded here
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _become_nobody() -> None:
    if os.geteuid():
        return
    # In a namespace of users there may be no such user: it stays what it is, the limits hold less.
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _limit(which: int, most: int) -> None:
    # A system may not know one, or have set it lower: the others hold all the same.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (most, most))
