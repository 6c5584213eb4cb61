"""What code that has taken a decoder would try: the work of a bench that tests keep.

Each answers with what it got, or with the error that it got instead.
"""

import ctypes
import os
import signal
import socket
import threading
import time

from ccapi.core.confined.wire import Refused

MEBIBYTE = 1024 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True)
_PROCESS_VM_READV = 310 if os.uname().machine == "x86_64" else 270


def echo(data: bytes) -> bytes:
    return data


def length(data: bytes) -> bytes:
    return str(len(data)).encode()


def refuse(data: bytes, *, word: str) -> bytes:
    raise Refused(word)


def blunder(data: bytes) -> bytes:
    return str(1 / len(data)).encode()


def read_file(data: bytes, *, path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        return repr(error).encode()
    return os.read(descriptor, 100_000)


def environment(data: bytes) -> bytes:
    return " ".join(os.environ).encode()


def descriptors(data: bytes) -> bytes:
    """Those that are open."""
    found = []
    for number in range(1024):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return repr(found).encode()


def connect(data: bytes) -> bytes:
    try:
        with socket.socket():
            return b"a socket"
    except OSError as error:
        return repr(error).encode()


def fork(data: bytes) -> bytes:
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError as error:
        return repr(error).encode()
    return b"a child"


def thread(data: bytes) -> bytes:
    try:
        threading.Thread(target=time.sleep, args=(0,)).start()
    except RuntimeError as error:
        return repr(error).encode()
    return b"a thread"


def raise_limits(data: bytes) -> bytes:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    except (ValueError, OSError) as error:
        return repr(error).encode()
    return b"more"


def who(data: bytes) -> bytes:
    return f"{os.getuid()} {os.getgid()} {os.getgroups()}".encode()


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_memory(data: bytes, *, pid: str, address: str) -> bytes:
    """Of another process, without opening anything."""
    found = ctypes.create_string_buffer(16)
    ours = _Piece(ctypes.addressof(found), 16)
    theirs = _Piece(int(address), 16)
    count = _LIBC.syscall(
        _PROCESS_VM_READV, int(pid), ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0
    )
    return found.raw if count > 0 else os.strerror(ctypes.get_errno()).encode()


def take_memory(data: bytes) -> bytes:
    return bytes(4096 * MEBIBYTE)[:1]


def answer_much(data: bytes) -> bytes:
    return bytes(8 * MEBIBYTE)


def spin(data: bytes) -> bytes:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass


def sleep(data: bytes) -> bytes:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(3600)
    return b""


def nap(data: bytes) -> bytes:
    time.sleep(0.2)
    return data


def crash(data: bytes) -> bytes:
    ctypes.string_at(0)
    return b""


def end_keeper(data: bytes) -> bytes:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)
    return b""
