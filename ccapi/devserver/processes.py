"""Child processes that never outlive us, and the ports and sockets that they are given.

What is stopped when, and what is restarted, is the supervisor's business.
"""

import ctypes
import errno
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ccapi.devserver.system_user import ServerUser

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Output = int | IO[bytes] | None


class StartFailed(Exception):
    """A server did not come up; the message carries the end of its log."""


def spawn(
    command: Sequence[str | Path],
    *,
    environment: dict[str, str],
    death_signal: signal.Signals = signal.SIGKILL,
    user: ServerUser | None = None,
    folder: Path | str | None = None,
    stdin: Output = subprocess.DEVNULL,
    stdout: Output = None,
    stderr: Output = None,
    pass_fds: Sequence[int] = (),
    own_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a direct child, by default in a session out of reach of the terminal's Ctrl-C.

    `death_signal` is what the kernel sends it when we die, however that happens (Linux). Call this
    from the main thread: the kernel means the thread that forked, not the process.
    """
    parent = os.getpid()

    def tie_to_parent() -> None:  # runs after the change of user, which would have undone it
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # died between the fork and here
                os._exit(1)

    return subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=own_session,
        preexec_fn=tie_to_parent,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def stop(process: subprocess.Popen[bytes], how: signal.Signals, grace_s: float) -> bool:
    """Ask a child to end, and kill it after the grace. Whether it went by itself."""
    tell(process, how)
    return await_end(process, grace_s)


def tell(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Send a child a signal, if it is still there."""
    if process.poll() is None:
        process.send_signal(how)


def await_end(process: subprocess.Popen[bytes], grace_s: float) -> bool:
    """Wait for a child that was told to end; kill it after the grace.

    Whether it went by itself.
    """
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def wait_until(
    ready: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes],
    name: str,
    timeout_s: float,
    log: Path | None,
) -> None:
    """Poll until `ready()`. Raises StartFailed where the child ends first or time runs out."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            raise StartFailed(
                f"{name} ended at its start with code {process.returncode}.{_tail(log)}"
            )
        if time.monotonic() > deadline:
            raise StartFailed(f"{name} did not answer within {timeout_s:.0f} s.{_tail(log)}")
        time.sleep(0.02)


def answers(url: str, *, status_max: int = 200) -> bool:
    """Whether GET on one of our own servers gives an HTTP status up to this one."""
    try:
        with _DIRECT.open(url, timeout=5) as answer:
            return bool(answer.status <= status_max)
    except urllib.error.HTTPError as error:
        return error.code <= status_max
    except OSError:
        return False


# A proxy from the environment must not stand between us and our own servers.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def listen(host: str, port: int, *, tries: int = 50) -> socket.socket:
    """A listening socket at the port or, where it is taken, at the next free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + tries, 65536)) if port else [0]:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            # Bound is not yet ours: another listener of the same port is noticed only here.
            listener.listen(2048)
        except OverflowError:
            listener.close()
            raise StartFailed(f"{candidate} is not a port.") from None
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise StartFailed(
                    f"Cannot listen at {host}:{candidate}: {error.strerror}."
                ) from error
        else:
            return listener
    raise StartFailed(f"Ports {port} to {port + tries - 1} are all taken at {host}.")


def free_port() -> int:
    """A loopback port for a server that binds by itself; no outgoing connection takes it."""
    for _ in range(100):
        port = random.randint(20_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartFailed("No free loopback port between 20000 and 32000.")


def _tail(log: Path | None, lines: int = 15) -> str:
    if log is None or not log.exists():
        return ""
    end = "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return f" The end of {log}:\n{end}"
