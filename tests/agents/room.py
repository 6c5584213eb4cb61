"""A room without a way out: the whole product, its providers and an agent, on loopback alone.

`python -m tests.agents.room FOLDER_OF_PROGRAMS`, started in a network namespace of its own. Says
`ready`, then answers each `Order` with a `Report`, a line each, and ends with its standard input.
PostgreSQL and Valkey are ours too, on sockets in a temporary folder.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from ccapi.devserver.throwaway import Throwaway, throwaway
from gateway.proofs.prepare import Made, Wanted
from tests.agents import clis, plans
from tests.agents.clis import CLIS
from tests.agents.records import MODEL, Order, Report
from tests.agents.vendors.registry import VENDORS
from tests.agents.wire_tap import Tap
from tests.fakes.steps import Script, reply
from tests.fakes.upstream import Recorded, Upstream

SESSIONS_MAX = 60
SESSION_S = 45.0
SETTLED_S = 10.0
CREDIT = "5.00"
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


class Providers(Upstream):
    """All vendors at one address, told apart by the path; a model answers."""

    def __init__(self) -> None:
        super().__init__()
        self.model: plans.Model | None = None

    def _script_for(self, request: Recorded) -> Script:
        self.requests.append(request)
        vendor = next(each for each in VENDORS.values() if each.path in request.path)
        assert self.model is not None
        body = request.json()
        said = self.model.says(vendor.read(body), body.get("model", MODEL))
        if body.get("stream") or "streamGenerateContent" in request.path:
            return reply(body=list(vendor.stream(said)), media_type=vendor.media_type)
        return reply(body=vendor.whole(said))


def catalog(url: str) -> dict[str, object]:
    """A provider and a model of each protocol, and a group of each that calls it by any name."""
    capabilities = ["streaming", "function_calling", "reasoning"]
    return {
        "providers": [
            {
                "name": _name(vendor),
                "display_name": vendor,
                "protocol": vendor,
                "base_url": url + VENDORS[vendor].base,
                "api_key": "upstream-secret",
                "enabled": True,
            }
            for vendor in VENDORS
        ],
        "models": [
            {
                "id": f"{_name(vendor)}/agent",
                "upstream_model": MODEL,
                "type": "chat",
                "display_name": vendor,
                "context_length": 400_000,
                "max_output_tokens": 64_000,
                "capabilities": capabilities,
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "prices": {"input": "1.00", "output": "2.00"},
            }
            for vendor in VENDORS
        ],
        "groups": [
            {"name": f"with-{_name(vendor)}", "aliases": {"*": [f"{_name(vendor)}/agent"]}}
            for vendor in VENDORS
        ],
    }


def _name(vendor: str) -> str:
    return vendor.rpartition("_")[2]


class Room:
    def __init__(self, product: Throwaway, providers: Providers, programs: Path) -> None:
        self._product = product
        self._providers = providers
        self._programs = programs
        wanted = Wanted(catalog=catalog(providers.url), credits=[CREDIT] * SESSIONS_MAX)
        given = msgspec.json.encode(wanted)
        code, told = product.python("-m", "gateway.proofs.prepare", given=given)
        assert code == 0, told
        self._customers = msgspec.json.decode(told.splitlines()[-1], type=list[Made])
        product.start_webs(1)
        self._url = urlsplit(product.urls[0])

    def session(self, order: Order) -> Report:
        """One session of a customer of its own."""
        customer = self._customers.pop()
        self._providers.requests.clear()
        assert self._url.hostname
        assert self._url.port
        with (
            Tap(self._url.hostname, self._url.port) as tap,
            tempfile.TemporaryDirectory(prefix="home-") as home,
            tempfile.TemporaryDirectory(prefix="work-") as work,
        ):
            folder = Path(work).resolve()
            given = [f"{name}-{secrets.token_hex(6)}" for name in ("alpha", "beta")]
            for name, kept in zip((plans.FIRST, plans.SECOND), given, strict=True):
                (folder / name).write_text(kept + "\n")
            model = self._model(order, folder)
            began = time.monotonic()
            ended = self._run(order, tap.url, customer.api_key, Path(home), folder)
            seconds = time.monotonic() - began
            made = folder / plans.MADE
            generations, charged = self._settled(customer)
            return Report(
                exit_code=ended.returncode,
                stdout=ended.stdout,
                stderr=ended.stderr,
                given=given,
                made=made.read_text() if made.exists() else None,
                asked=tap.requests(),
                told=tap.answered.decode(errors="replace"),
                reached=list(self._providers.requests),
                signed=model.signed,
                generations=generations,
                charged=charged,
                audit=self._product.python("-m", "django", "audit")[1],
                interfaces=[name for _, name in socket.if_nameindex()],
                seconds=seconds,
            )

    def _model(self, order: Order, folder: Path) -> plans.Model:
        agent, vendor = CLIS[order.agent], VENDORS[order.vendor]
        model = plans.Model(
            lambda tools: agent.hands(tools, folder),
            compat=agent.compat_tools if order.compat else set(),
            signs=vendor.has_signatures,
        )
        self._providers.model = model
        return model

    def _run(
        self, order: Order, url: str, key: str, home: Path, folder: Path
    ) -> "subprocess.CompletedProcess[str]":
        started = CLIS[order.agent].start(
            home, folder, url=url + order.prefix, key=key, model=order.model
        )
        process = subprocess.Popen(
            started.command,
            env=clis.environment(home, self._programs) | started.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=SESSION_S)
        except subprocess.TimeoutExpired:
            self._kill(process)
            stdout, stderr = process.communicate()
            stderr += f"\nNot done after {SESSION_S} s."
        finally:
            self._kill(process)
        return subprocess.CompletedProcess(started.command, process.returncode, stdout, stderr)

    @staticmethod
    def _kill(process: "subprocess.Popen[str]") -> None:
        """The agent and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _settled(self, customer: Made) -> tuple[list[dict[str, Any]], int]:
        """Receipts and what was charged, once nothing is held any more."""
        headers = {"authorization": f"Bearer {customer.api_key}"}
        with httpx2.Client(base_url=self._product.urls[0], headers=headers) as client:
            deadline = time.monotonic() + SETTLED_S
            while True:
                credit = client.get("/v1/credits").json()
                found = client.get("/v1/generations").json()["data"]
                is_done = float(credit["held"]) == 0 and len(found) >= self._providers.count()
                if is_done or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        return found, round((float(CREDIT) - float(credit["balance"])) * 1e9)


def loopback_up() -> None:
    """It is down in a new namespace."""
    flags = struct.pack("16sH14s", b"lo", IFF_UP | IFF_RUNNING, b"")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, flags)


def serve(session: Callable[[Order], Report]) -> None:
    _say(b"ready")
    for line in sys.stdin.buffer:
        _say(msgspec.json.encode(session(msgspec.json.decode(line, type=Order))))


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


def main() -> None:
    loopback_up()
    programs = Path(sys.argv[1])
    providers = Providers()
    with throwaway("agents", os.environ, CCAPI_METRICS_PORT="0") as product, providers:
        serve(Room(product, providers, programs).session)


if __name__ == "__main__":
    main()
