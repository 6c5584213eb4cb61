"""A product for a while: embedded servers in a temporary folder, web processes, then nothing.

`manage.py prove` and `manage.py bench` run against it: the processes of `serve` under its
supervisor, on databases that nobody else uses. What is done to it is not known here. Nothing is
left however the command ends: children die with us, and a janitor removes the folder.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ccapi.devserver import processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.postgres import Postgres
from ccapi.devserver.processes import StartFailed
from ccapi.devserver.servers import Servers, open_servers
from ccapi.devserver.service import Service
from ccapi.devserver.supervisor import Interrupted, Supervisor, interruptible
from ccapi.devserver.testing import temporary

READY_S = 60.0
COMMAND_S = 120.0
WEB_GRACE_S = 5.0  # nobody waits for its last answers
CRASH_S = 20.0  # for an immediate shutdown, which takes a moment
KILL_S = 2.0
LOOK_S = 0.02

__all__ = ["Interrupted", "StartFailed", "Throwaway", "throwaway"]


class Throwaway:
    """A running product. Use it from the main thread: it forks.

    The web processes' sockets are ours, so a request that comes while one is started again waits.
    """

    def __init__(self, servers: Servers) -> None:
        self.urls: list[str] = []  # of the web processes
        self.restarts = 0  # of web processes, by the supervisor
        self._servers = servers
        self._supervisor = Supervisor()
        self._listeners: list[socket.socket] = []
        self._webs: list[Service] = []

    @property
    def database_url(self) -> str:
        return self._servers.environment["DATABASE_URL"]

    @property
    def spool(self) -> Path:
        """Where settlements wait on disk."""
        return Path(self._servers.environment["CCAPI_SPOOL_DIR"])

    @property
    def web_pids(self) -> list[int]:
        """The web processes that run now."""
        running = (service.process for service in self._webs)
        return [process.pid for process in running if process and process.poll() is None]

    @property
    def server_pids(self) -> dict[str, int]:
        """PostgreSQL and Valkey, by name."""
        services = self._servers.services
        return {service.name: service.process.pid for service in services if service.process}

    def start_webs(
        self, count: int, *, shared: bool = False, cores: set[int] | None = None
    ) -> None:
        """Web processes, on these cores, on a socket each or on one; back when all answer.

        Those that run already are kept where they are as wanted, and ended where they are not.
        """
        if self._webs and len(self.urls) == (1 if shared else count):
            return
        self.stop()
        self._listeners = [processes.listen("127.0.0.1", 0) for _ in range(1 if shared else count)]
        self.urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._listeners]
        for number in range(count):
            listener = self._listeners[0 if shared else number]
            service = Service(f"web {number + 1}", self._launcher(listener, cores), group="web")
            service.grace_s = WEB_GRACE_S
            self._webs.append(service)
            self._supervisor.add(service)
        for number, service in enumerate(self._webs):
            self._wait_ready(service, self.urls[0 if shared else number])
        self.restarts = 0

    def _launcher(
        self, listener: socket.socket, cores: set[int] | None
    ) -> Callable[[], subprocess.Popen[bytes]]:
        def launch() -> subprocess.Popen[bytes]:
            self.restarts += 1
            fd = listener.fileno()
            with self._servers.data.log("web").open("ab") as log:
                process = processes.spawn(
                    [sys.executable, "-m", "ccapi.web", "--fd", str(fd)],
                    environment=self._servers.environment,
                    folder=ROOT,
                    stdout=log,
                    stderr=log,
                    pass_fds=[fd],
                )
            if cores is not None:
                os.sched_setaffinity(process.pid, cores)  # its threads, still to come, inherit it
            return process

        return launch

    def _wait_ready(self, service: Service, url: str) -> None:
        assert service.process is not None  # noqa: S101 - just started
        processes.wait_until(
            lambda: processes.answers(f"{url}/models", status_max=499),
            process=service.process,
            name=f"The process {service.name}",
            timeout_s=READY_S,
            log=self._servers.data.path / "log" / "web.log",
        )

    def look(self) -> None:
        """Let the supervisor look after the web processes. Call it often."""
        self._supervisor.look()

    def kill_web(self, pid: int) -> None:
        """As the kernel's out-of-memory killer would. The supervisor finds it dead."""
        os.kill(pid, signal.SIGKILL)

    def crash_database(self, meanwhile: Callable[[], None]) -> None:
        """End PostgreSQL at once, without a checkpoint, and start it again; back when it answers.

        It recovers from its log, as after a power cut; only what was not yet written is forgotten.
        `meanwhile` is called all the time.
        """
        service = next(each for each in self._servers.services if each.name == "postgres")
        process = service.process
        assert process is not None  # noqa: S101 - it runs as long as we do
        process.send_signal(signal.SIGQUIT)
        deadline = time.monotonic() + CRASH_S
        while process.poll() is None and time.monotonic() < deadline:
            meanwhile()
            time.sleep(LOOK_S)
        processes.await_end(process, KILL_S)
        Postgres(self._servers.data).wait_ready(service.start(), meanwhile)

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python process of ours beside the product, spoken to over its pipes."""
        return processes.spawn(
            [sys.executable, *arguments],
            environment=self._servers.environment,
            folder=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def python(self, *arguments: str, given: bytes = b"") -> tuple[int, str]:
        """Run a Python process in the product's environment: its exit code and all it printed."""
        process = processes.spawn(
            [sys.executable, *arguments],
            environment=self._servers.environment,
            folder=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(given, timeout=COMMAND_S)
        except BaseException:  # a signal: it must be gone before its database is
            process.kill()
            process.wait()
            raise
        return process.returncode, output.decode(errors="replace")

    def stop(self) -> None:
        """End the web processes; the servers go with `throwaway`."""
        self._supervisor.stop()
        self._supervisor, self._webs = Supervisor(), []
        for listener in self._listeners:
            listener.close()


@contextmanager
def throwaway(owner: str, environment: Mapping[str, str], **settings: str) -> Iterator[Throwaway]:
    """Servers and no web process yet. Raises: Interrupted, at a signal; StartFailed."""
    with interruptible(), temporary() as data:
        own = {**_without_settings(environment), "PYTHONUNBUFFERED": "1", **settings}
        servers = open_servers(data, own, owner=owner)
        try:
            product = Throwaway(servers)
            try:
                yield product
            finally:
                product.stop()
        finally:
            servers.close()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Ours without what configures another CCAPI: a development one of its own is wanted."""
    foreign = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"}
    kept = {
        name: value
        for name, value in environment.items()
        if name not in foreign and not name.startswith("CCAPI_")
    }
    return {**kept, "DJANGO_SETTINGS_MODULE": "ccapi.settings", "CCAPI_LOG_FORMAT": "json"}
