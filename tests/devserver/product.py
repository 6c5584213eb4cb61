"""Runs `manage.py` commands as their users do: real processes on a data folder of their own."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GONE_S = 2.0
READY_S = 90.0


def environment(data: Path | None = None, **more: str) -> dict[str, str]:
    """Ours, without servers of somebody else, on this data folder."""
    foreign = {"DATABASE_URL", "REDIS_URL", "CCAPI_DATA_DIR", "CCAPI_SPOOL_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**kept, **({"CCAPI_DATA_DIR": str(data)} if data else {}), **more}


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder that the servers' user can reach, which pytest's own are not for root."""
    folder = Path(tempfile.mkdtemp(prefix="ccapi-devserver-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def manage(*arguments: str, data: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(data, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Running:
    """A command that goes on, with everything that it has started."""

    def __init__(self, *arguments: str, data: Path, root: Path = ROOT, **more: str) -> None:
        self.data = data
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=root,
            env=environment(data, **more),
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        os.set_blocking(self._stdout, False)
        self.output = ""

    @property
    def _stdout(self) -> int:
        assert self.process.stdout
        return self.process.stdout.fileno()

    def told(self) -> str:
        """What it has said on stderr."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def wait_for(self, pattern: str, *, timeout_s: float = READY_S) -> str:
        """Its stdout up to a match, which is returned. Fails the test where it ends before."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                self.output += os.read(self._stdout, 65536).decode()
            if match := re.search(pattern, self.output):
                return match.group(0)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in {self.output!r}; it said:\n{self.told()}")

    def ready(self) -> dict[str, Any]:
        """The line of `serve --json`."""
        line: dict[str, Any] = json.loads(self.wait_for(r"\{.*\}(?=\n)"))
        return line

    def family(self) -> set[int]:
        """It and all that stem from it."""
        return {self.process.pid, *descendants(self.process.pid)}

    def end(self, how: signal.Signals, *, timeout_s: float = 30.0) -> int:
        """Send a signal and wait for it to end."""
        self.process.send_signal(how)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            self.process.wait()
            wait_until_gone(family)
        assert self.process.stdout
        self.process.stdout.close()
        self.errors.close()


@contextlib.contextmanager
def running(*arguments: str, data: Path, root: Path = ROOT, **more: str) -> Iterator[Running]:
    command = Running(*arguments, data=data, root=root, **more)
    try:
        yield command
    finally:
        command.close()


def descendants(ancestor: int, *, besides: Collection[int] = ()) -> set[int]:
    """Process numbers of everything below a process, by the kernel's own account.

    But for those of `besides` and what these have begun.
    """
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended while we were looking
            # The name in parentheses may hold anything, spaces included.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    fresh = {ancestor}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found - {*besides}
        found |= fresh
    return found


def alive(pids: set[int]) -> dict[int, str]:
    """Those that still run (a zombie does not), with their commands."""
    left: dict[int, str] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            folder = Path(f"/proc/{pid}")
            if folder.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z":
                left[pid] = folder.joinpath("cmdline").read_bytes().decode().replace("\0", " ")
    return left


def wait_until_gone(pids: set[int], *, timeout_s: float = GONE_S) -> dict[int, str]:
    """What is left of them once the time is over; nothing, if all is well."""
    deadline = time.monotonic() + timeout_s
    while (left := alive(pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
