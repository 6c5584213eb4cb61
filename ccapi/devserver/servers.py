"""The embedded servers of a data folder: who owns them, who attaches, and when they end.

The owner holds a lock on the folder for as long as its servers run; the kernel frees it however
the owner ends. Others read where the servers are and hold a second, shared lock, which an owner
that is only a short command waits for before it stops them. Where both URLs are in the
environment, nothing is started at all.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ccapi.devserver.console import say
from ccapi.devserver.data_dir import DataDir
from ccapi.devserver.postgres import Postgres
from ccapi.devserver.service import Service
from ccapi.devserver.valkey import Valkey

STATE = "servers"
GUESTS = "guests.lock"
WAIT_S = 60.0
# Generated with the embedded database and living as long as it does; with a database of the
# operator's own, they are the operator's too.
PRODUCT_SECRETS = ("SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY")


class InUse(Exception):
    """Another process owns this data folder's servers and they cannot be shared."""


@dataclass
class Servers:
    """Running servers.

    `environment` is what a child needs to use them; `services` are those that are ours.
    """

    data: DataDir
    environment: dict[str, str]
    services: list[Service] = field(default_factory=list)
    locks: list[IO[str]] = field(default_factory=list)

    def tell(self, **facts: object) -> None:
        """Add facts for those who attach or are refused, such as the URL of `serve`."""
        if self.services:
            self.data.write(STATE, {**(self.data.read(STATE) or {}), **facts})

    def wait_for_guests(self) -> None:
        """Until nobody else uses our servers; from then on nobody can begin to."""
        if not self.services:
            return
        lock = (self.data.path / GUESTS).open("a")
        self.locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command still uses the database that we started; waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Stop what is ours, last started first, and let go of the folder."""
        for service in reversed(self.services):
            service.stop()
        if self.services:
            self.data.remove(STATE)
            self.data.remove_sockets()
        for lock in self.locks:
            lock.close()


def open_servers(data: DataDir, environment: Mapping[str, str], *, owner: str) -> Servers:
    """Start the servers that are missing, or attach to those that run.

    Raises InUse, StartFailed.
    """
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not environment.get(name)]
    servers = Servers(data, _common(data, environment))
    if not missing:
        return servers
    deadline = time.monotonic() + WAIT_S
    is_told = False
    while not (_own(servers, missing, owner) or _attach(servers, missing, owner)):
        state = data.read(STATE) or {}
        holder = f"`{state.get('owner', 'another command')}` (process {state.get('pid')})"
        if time.monotonic() > deadline:
            raise InUse(f"{holder} holds {data.path}; end it first.")
        if owner == "serve" and not is_told:
            say(f"Waiting for {holder}, which uses {data.path} …")
            is_told = True
        time.sleep(0.05)
    return servers


def _own(servers: Servers, missing: list[str], owner: str) -> bool:
    """Take the folder and start its servers, unless somebody else has it."""
    lock = (servers.data.path / "servers.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    servers.locks.append(lock)
    _start(servers, missing, owner)
    return True


def _attach(servers: Servers, missing: list[str], owner: str) -> bool:
    """Use the servers of their owner, unless they are not ready (or no longer)."""
    data = servers.data
    if owner == "serve":
        _refuse_second_serve(data, data.read(STATE) or {})
        return False  # it lasts longer than the short command whose servers these are
    guest = (data.path / GUESTS).open("a")
    fcntl.flock(guest, fcntl.LOCK_SH)  # an owner that is about to stop them lets us in afterwards
    state = data.read(STATE) or {}
    if not state.get("ready"):
        guest.close()
        return False
    servers.locks.append(guest)
    for name in missing:
        if name not in state:
            raise InUse(
                f"`{state.get('owner')}` (process {state.get('pid')}) was started with its own "
                f"{name}; give this command the same one."
            )
        servers.environment[name] = state[name]
    if "DATABASE_URL" in missing:
        servers.environment |= _product_secrets(data, servers.environment)
    return True


def _refuse_second_serve(data: DataDir, state: Mapping[str, Any]) -> None:
    if state.get("owner") == "serve":
        where = state.get("url") or "starting"
        raise InUse(
            f"CCAPI is already running on {data.path} (process {state.get('pid')}, {where}). "
            "Stop it first, or set CCAPI_DATA_DIR to another folder for a second one."
        )


def _start(servers: Servers, missing: list[str], owner: str) -> None:
    data = servers.data
    _end_leftovers(data)
    facts: dict[str, Any] = {"owner": owner, "pid": os.getpid(), "ready": False, "children": []}
    data.write(STATE, facts)
    engines = {"DATABASE_URL": Postgres, "REDIS_URL": Valkey}
    started: list[tuple[Postgres | Valkey, subprocess.Popen[bytes]]] = []
    try:
        for name in missing:
            engine = engines[name](data)
            service = engine.service()
            servers.services.append(service)
            started.append((engine, service.start()))
            servers.environment[name] = engine.url
        facts["children"] = [process.pid for _, process in started]
        servers.tell(**facts)
        for engine, process in started:
            engine.wait_ready(process)
    except BaseException:
        servers.close()
        raise
    if "DATABASE_URL" in missing:
        servers.environment |= _product_secrets(data, servers.environment)
    servers.tell(ready=True, **{name: servers.environment[name] for name in missing})


def _common(data: DataDir, environment: Mapping[str, str]) -> dict[str, str]:
    common = dict(environment)
    common.setdefault("CCAPI_DATA_DIR", str(data.path))
    common.setdefault("CCAPI_SPOOL_DIR", str(data.path / "spool"))
    return common


def _product_secrets(data: DataDir, environment: Mapping[str, str]) -> dict[str, str]:
    known = data.secrets()
    return {name: known[name] for name in PRODUCT_SECRETS if not environment.get(name)}


def _end_leftovers(data: DataDir) -> None:
    """End what a killed owner left: ending by itself, most often; running on, if not on Linux.

    We hold the lock, so they are nobody's. A process number alone proves nothing: its name must
    fit too.
    """
    state = data.read(STATE) or {}
    pids = [pid for pid in state.get("children", []) if _name(pid) in {"postgres", "valkey-server"}]
    for how, patience_s in ((None, 3.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        for pid in pids:
            if how is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
        deadline = time.monotonic() + patience_s
        while pids and time.monotonic() < deadline:
            pids = [pid for pid in pids if _name(pid) in {"postgres", "valkey-server"}]
            time.sleep(0.02)


def _name(pid: int) -> str:
    """The program of a process; nothing where it is gone."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""
    told = subprocess.run(
        ["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return Path(told.stdout.strip()).name
