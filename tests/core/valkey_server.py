"""A Valkey of a test's own, to be killed, restarted and paused."""

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import redis

from ccapi.devserver import processes, system_user
from ccapi.devserver.valkey import find_program

START_S = 10.0


class ValkeyServer:
    """On a port that it keeps; it remembers nothing over a restart. Ends with the test process."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._user = system_user.server_user()
        self._folder = tempfile.TemporaryDirectory(prefix="ccapi-valkey-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "")
        self._process = processes.spawn(
            [find_program(self._user), *options],
            environment={},
            user=self._user,
            folder="/",
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < deadline, "Valkey did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        """Empty, without scripts, every connection broken."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Connections stay open and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextlib.contextmanager
def running() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
