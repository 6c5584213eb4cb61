"""The whole product for tests: a database of its own, web processes, a fake upstream, the commands.

Everything is a real process on loopback, and ends with the test session, also when a test fails:
each child asks the kernel to die with this process.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import anthropic
import httpx2
import msgspec
import openai
import psycopg

from tests import databases
from tests.fakes.upstream import Upstream

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
MORE = 40  # accounts that are made at a time when all have been given away
SEED = """
import sys, django
django.setup()
from catalog import api
api.seed({})
api.set_endpoint("sandbox", sys.argv[1])
"""


class Account(msgspec.Struct, frozen=True):
    organization: str
    api_key: str
    credit: str = "1.00"


class Web:
    """One web process."""

    def __init__(self, environment: dict[str, str], *, stderr: IO[bytes] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.web", str(self.port)],
            cwd=ROOT,
            env=environment,
            stderr=stderr,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"The web process ended with {self.process.returncode}.")
            with contextlib.suppress(httpx2.TransportError):
                httpx2.get(f"{self.url}/models", timeout=5)
                return
            time.sleep(0.05)
        self.stop()
        raise TimeoutError("The web process did not answer in time.")

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


class Stack:
    """A product on a database of its own."""

    def __init__(
        self,
        upstream: Upstream,
        dead_url: str,
        *,
        accounts: dict[str, int],
        name: str,
        environment: dict[str, str] | None = None,
        catalog: dict[str, Any] | None = None,
    ) -> None:
        self.upstream = upstream
        self.database = f"ccapi_e2e_{name}_{os.getpid()}"
        self.database_url = databases.url_of(self.database)
        self._artefacts = tempfile.TemporaryDirectory()
        self.environment = {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "DJANGO_SETTINGS_MODULE": "ccapi.settings",
            "CCAPI_HOLD_TTL_S": "3",
            "CCAPI_SWEEP_S": "0.5",
            "CCAPI_TOP_UP_URL": "https://example.com/top-up",
            "CCAPI_LOG_LEVEL": "warning",
            "CCAPI_ARTEFACT_DIR": self._artefacts.name,
            "CCAPI_QUEUE": self.database,  # the broker is shared
            # A test's machine is busier than a server: nobody means an absent Valkey by a second.
            "CCAPI_VALKEY_HOT_S": "1.0",
            "CCAPI_LEASE_TTL_S": "2",
            # What one test makes a provider do is nothing to the next one (`test_breakers` has them
            # on), and there is always a repeat to spend.
            "CCAPI_BREAKER_FAILURES": "0",
            "CCAPI_RETRY_RATIO": "1",
            **(environment or {}),
        }
        self._webs: list[Web] = []
        self._connection: psycopg.Connection | None = None
        databases.clone(self.database)
        arguments = ["--upstream", upstream.url, "--dead", dead_url]
        if catalog is not None:
            arguments += ["--catalog", json.dumps(catalog)]
        for credit, count in accounts.items():
            arguments += ["--account", credit] * count
        self._accounts: dict[str, list[Account]] = {}
        self._add("-m", "tests.e2e.prepare", *arguments)

    def close(self) -> None:
        for web in self._webs:
            web.stop()
        self._artefacts.cleanup()
        if self._connection is not None:
            self._connection.close()
        databases.drop(self.database)

    @property
    def webs(self) -> list[Web]:
        """Those that run: a test's own are gone with it."""
        return [web for web in self._webs if web.process.poll() is None]

    def web(self, *, stderr: IO[bytes] | None = None, **environment: str) -> Web:
        """One more web process; `stderr` gets its log."""
        web = Web({**self.environment, **environment}, stderr=stderr)
        self._webs.append(web)
        return web

    def account(self, credit: str = "1.00") -> Account:
        """A customer of one's own, with this credit in dollars."""
        if not self._accounts.get(credit):
            self._add("-m", "tests.e2e.customers", *[credit] * MORE)
        return self._accounts[credit].pop()

    def _add(self, *arguments: str) -> None:
        """The accounts that this program says it has made."""
        for made in json.loads(self.python(*arguments).stdout.splitlines()[-1]):
            self._accounts.setdefault(made["credit"], []).append(Account(**made))

    def new_account(self, credit: str, *, concurrent: int = 0) -> Account:
        """A customer with exactly this credit, made by the command that an operator would use."""
        arguments = ["Stormy", "--email", f"{time.time_ns()}@example.com", "--credit", credit]
        arguments += ["--rpm", "0", "--tpm", "0", "--concurrent", str(concurrent)]
        made = json.loads(self.manage("account", "create", *arguments, "--json").stdout)
        return Account(organization=made["organization"], api_key=made["api_key"])

    def seed(self, sandbox_url: str) -> None:
        """The seed catalog as well, and the sandbox where it is served."""
        self.python("-c", SEED, f"{sandbox_url}/v1")

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.python("-m", "django", *arguments)

    def audit(self) -> str:
        """`manage.py audit`; fails the test where an invariant is broken."""
        return self.manage("audit").stdout

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.broken:
            # One that stays: tests ask in loops, and to log in takes five milliseconds.
            self._connection = psycopg.connect(self.database_url, autocommit=True)
        return self._connection.execute(query.encode(), parameters).fetchall()

    def wait_for_no_holds(self, timeout_s: float = 10.0) -> None:
        """Until every hold is resolved."""
        deadline = time.monotonic() + timeout_s
        while self.rows("SELECT 1 FROM hold LIMIT 1"):
            assert time.monotonic() < deadline, "holds are still open"
            time.sleep(0.02)

    def balance(self, account: Account) -> tuple[int, int]:
        """Posted and held, in nano-dollars."""
        query = (
            "SELECT posted_nano, held_nano FROM wallet"
            " JOIN organization o ON o.id = organization_id WHERE public_id = %s"
        )
        return self.rows(query, account.organization)[0]

    def openai(self, account: Account, web: Web | None = None) -> openai.OpenAI:
        base = (web or self.webs[0]).url + "/v1"
        return openai.OpenAI(api_key=account.api_key, base_url=base, max_retries=0, timeout=30)

    def anthropic(self, account: Account, web: Web | None = None) -> anthropic.Anthropic:
        base = (web or self.webs[0]).url
        return anthropic.Anthropic(
            api_key=account.api_key, base_url=base, max_retries=0, timeout=30
        )

    def http(self, account: Account | None, web: Web | None = None) -> httpx2.Client:
        headers = {} if account is None else {"authorization": f"Bearer {account.api_key}"}
        return httpx2.Client(base_url=(web or self.webs[0]).url, headers=headers, timeout=30)

    def generation(self, account: Account, generation_id: str) -> dict[str, Any]:
        """The receipt, as the customer sees it."""
        with self.http(account) as client:
            answer = client.get(f"/v1/generations/{generation_id}")
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt


@contextlib.contextmanager
def running(
    upstream: Upstream,
    dead_url: str,
    *,
    accounts: dict[str, int],
    name: str,
    environment: dict[str, str] | None = None,
) -> Iterator[Stack]:
    """A stack that is taken down whatever happens."""
    stack = Stack(upstream, dead_url, accounts=accounts, name=name, environment=environment)
    try:
        yield stack
    finally:
        stack.close()
