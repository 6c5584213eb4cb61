"""The production shape without containers: the commands of docker-compose.yml on this machine.

A PostgreSQL with the roles of `deploy/postgres/roles.sh`, a Valkey, the sandbox, web processes as
the image starts them, and nginx with our configuration where there is one. What containers add
(networks, users, read-only disks) is not here.
"""

import contextlib
import datetime
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

import httpx2
import psycopg
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ccapi.devserver import processes
from tests.billing.server import PROGRAMS, Server
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
HOST = "api.example.com"
ANY = "0.0.0.0"  # noqa: S104 - replaced, not bound
READY_S = 30.0
# Sooner than in production, and in the same order: connections to an ending process go first.
ACCEPT_S, IDLE_S = 1.5, 1
# From one connection as `postgres` to roles with passwords, as in the image.
HBA = """
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


class Account(NamedTuple):
    organization: str
    api_key: str


def secrets_of_production() -> dict[str, str]:
    """As ccapi.env has them."""
    names = ("SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY")
    return {name: secrets.token_hex(32) for name in names}


class Shape:
    """Running servers, a migrated and seeded database, web processes on ports that they keep."""

    def __init__(self, folder: Path, postgres: Server, valkey: ValkeyServer) -> None:
        self.folder, self.postgres, self.valkey = folder, postgres, valkey
        self.passwords = {
            name: secrets.token_hex(32) for name in ("CCAPI_OWNER_PASSWORD", "CCAPI_APP_PASSWORD")
        }
        self.settings = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CCAPI_", "PG"))},
            **secrets_of_production(),
            "CCAPI_ENV": "production",
            "CCAPI_ALLOWED_HOSTS": HOST,
            "CCAPI_TRUSTED_PROXIES": "127.0.0.1",
            "CCAPI_METRICS_PORT": "0",
            "CCAPI_SPOOL_DIR": str(folder / "spool"),
            "CCAPI_SHUTDOWN_ACCEPT_S": str(ACCEPT_S),
            "CCAPI_HOLD_TTL_S": "6",
            "CCAPI_SWEEP_S": "1",
            "CCAPI_LOG_LEVEL": "warning",
            "REDIS_URL": valkey.url,
        }
        self.ports: list[int] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.make_database("ccapi")

    # Databases

    def url(self, role: str, database: str = "ccapi") -> str:
        """The database as a role sees it."""
        names = {"ccapi": "CCAPI_APP_PASSWORD", "ccapi_owner": "CCAPI_OWNER_PASSWORD"}
        login = f"{role}:{self.passwords[names[role]]}" if role in names else role
        return f"postgresql://{login}@127.0.0.1:{self.postgres.port}/{database}"

    def make_database(self, name: str) -> None:
        """A database with our roles, as the image of PostgreSQL makes it at its first start."""
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        environment = {**self.program_environment(), **self.passwords, "POSTGRES_DB": name}
        done = subprocess.run(
            ["sh", DEPLOY / "postgres" / "roles.sh"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (self.postgres.data / "pg_hba.conf").write_text(HBA)
        with psycopg.connect(self.url("postgres", name), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")

    def program_environment(self) -> dict[str, str]:
        """For psql, pg_dump and their like."""
        path = f"{PROGRAMS}:{os.environ['PATH']}"
        return {"PATH": path, "PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port)}

    def rows(self, query: str, database: str = "ccapi") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url("postgres", database), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    # Commands

    def manage(
        self, *arguments: str, role: str = "ccapi_owner", database: str = "ccapi"
    ) -> "subprocess.CompletedProcess[str]":
        """`docker compose run manage ...`."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.settings, "DATABASE_URL": self.url(role, database)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def done(self, *arguments: str, database: str = "ccapi") -> str:
        """The same; it must succeed."""
        result = self.manage(*arguments, database=database)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def account(self, credit: str = "1000.00") -> Account:
        options = ("--email", f"{time.time_ns()}@example.com", "--credit", credit, "--json")
        free = ("--rpm", "0", "--tpm", "0", "--concurrent", "0")
        made = json.loads(self.done("account", "create", "Acme", *options, *free))
        return Account(made["organization"], made["api_key"])

    # Processes

    def start(self, name: str, command: list[str], **environment: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = processes.spawn(
                [sys.executable, *command],
                environment={**self.settings, **environment},
                folder=ROOT,
                stdout=log,
                stderr=log,
            )

    def start_sandbox(self) -> str:
        """Its base URL."""
        port = free_port()
        self.start("sandbox", command_of("sandbox", {ANY: "127.0.0.1", "8090": str(port)}))
        until_answers(f"http://127.0.0.1:{port}/healthz")
        return f"http://127.0.0.1:{port}/v1"

    def start_web(self, number: int, *, database: str = "ccapi") -> str:
        """By the image's own command, but on a port of this machine; its URL once it is ready."""
        while len(self.ports) <= number:
            self.ports.append(free_port())
        port = self.ports[number]
        command = image_command({ANY: "127.0.0.1", "8000": str(port)})
        self.start(f"web {number}", command, DATABASE_URL=self.url("ccapi", database))
        until_answers(f"http://127.0.0.1:{port}/readyz")
        return f"http://127.0.0.1:{port}"

    def tell(self, name: str, how: signal.Signals) -> subprocess.Popen[bytes]:
        process = self._running[name]
        processes.tell(process, how)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


@contextlib.contextmanager
def running() -> Iterator[Shape]:
    """Servers, roles and tables; the web processes and the sandbox are the test's to start."""
    server = Server()
    try:
        server.start()
        with (
            valkey_server.running() as valkey,
            tempfile.TemporaryDirectory(prefix="ccapi-deploy-") as folder,
        ):
            shape = Shape(Path(folder), server, valkey)
            try:
                yield shape
            finally:
                shape.close()
    finally:
        server.close()


def command_of(service: str, changed: dict[str, str]) -> list[str]:
    """A service's command in docker-compose.yml, behind its `python`, with other values."""
    python, *rest = COMPOSE["services"][service]["command"]
    assert python == "python"
    return [changed.get(part, part) for part in rest]


def image_command(changed: dict[str, str]) -> list[str]:
    """The image's own command, as the Dockerfile has it."""
    found = re.findall(r"(?m)^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text())
    python, *rest = json.loads(found[-1])
    assert python == "python"
    return [changed.get(part, part) for part in rest]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_answers(url: str) -> None:
    """Until GET gives 200."""
    deadline = time.monotonic() + READY_S
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        assert time.monotonic() < deadline, f"{url} is not ready"
        time.sleep(0.05)


# The proxy


class Proxy(NamedTuple):
    """nginx with the configuration of `deploy/nginx`."""

    tls_port: int
    plain_port: int
    certificate: Path

    def client(self, account: Account) -> httpx2.Client:
        """Verified TLS to HOST, which is this machine here."""
        headers = {"authorization": f"Bearer {account.api_key}", "host": HOST}
        context = ssl.create_default_context(cafile=self.certificate)
        url = f"https://127.0.0.1:{self.tls_port}"
        return httpx2.Client(base_url=url, headers=headers, verify=context, timeout=30)


@contextlib.contextmanager
def proxied(ports: list[int]) -> Iterator[Proxy]:
    """Run nginx in front of these web processes. Needs `nginx` on the PATH."""
    program = shutil.which("nginx")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="ccapi-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        proxy = Proxy(free_port(), free_port(), folder / "fullchain.pem")
        configuration = _configure(folder, ports, proxy)
        process = processes.spawn(
            [program, "-e", "stderr", "-p", folder, "-c", configuration, "-g", "daemon off;"],
            environment={},
            folder=folder,
            stdout=(folder / "out").open("wb"),
            stderr=(folder / "log").open("wb"),
        )
        try:
            deadline = time.monotonic() + READY_S
            while socket.socket().connect_ex(("127.0.0.1", proxy.tls_port)):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield proxy
        finally:
            processes.stop(process, signal.SIGTERM, 5)


def _configure(folder: Path, ports: list[int], proxy: Proxy) -> Path:
    """Our files with the ports and places of this machine, and without Docker's name service."""
    _certify(folder)
    servers = "".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in ports)
    for file in (DEPLOY / "nginx").iterdir():
        text = file.read_text()
        text = re.sub(r"(?m)^resolver .*$", "", text)
        text = re.sub(r"server web:8000 resolve [^;]*;", servers, text)
        text = re.sub(r"/[a-z]+/ccapi-nginx", f"{folder}/run", text)
        text = text.replace("/etc/nginx/certs", str(folder))
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{proxy.plain_port};")
        text = text.replace("listen 8443 ssl;", f"listen 127.0.0.1:{proxy.tls_port} ssl;")
        text = text.replace("127.0.0.1:8081", f"127.0.0.1:{free_port()}")
        text = text.replace("keepalive_timeout 4s;", f"keepalive_timeout {IDLE_S}s;")
        text = text.replace("worker_processes auto;", "worker_processes 1;")
        text = text.replace("worker_rlimit_nofile 65536;", "")
        text = text.replace("worker_connections 16384;", "worker_connections 512;")
        (folder / file.name).write_text(text)
    return folder / "tls.conf"


def _certify(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName(HOST), x509.IPAddress(IPv4Address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "privkey.pem").write_bytes(private)
