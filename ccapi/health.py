"""Health: `/livez` (the event loop answers) and `/readyz` (send requests here, or do not).

Both answer without a key, before Django, and are cheap to ask: what `/readyz` looks up is at most a
second old. It says 503 while this process is told to end, PostgreSQL does not answer within half a
second, or the tables are not those of this code. Valkey, providers, partitions and load only make
it "degraded": requests go on without, or elsewhere. Details are for the metrics' own port.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
import psycopg
import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from billing import api as billing
from ccapi.core import valkey, vitals
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop
from gateway import api as gateway

log = structlog.get_logger(__name__)

FRESH_S = 1.0
POSTGRES_S = 0.5
VALKEY_S = 0.25

State = Literal["ok", "degraded", "failed"]
Checks = dict[str, State]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Endpoint = Callable[[dict[str, Any], Send], Awaitable[None]]


class Readiness:
    """What was found out last, for the event loop; those who ask at once share one look."""

    def __init__(self) -> None:
        self._checks: Checks = {}
        self._looked_at = float("-inf")
        self._look: asyncio.Task[None] | None = None
        self._is_migrated = False

    async def checks(self) -> Checks:
        """Each part's state; this process's own is of this moment."""
        if time.monotonic() - self._looked_at > FRESH_S:
            if self._look is None:
                self._look = asyncio.get_running_loop().create_task(self._look_around())
            # One who leaves does not end the others' look.
            await asyncio.shield(self._look)
        here = vitals.current()
        return {
            **self._checks,
            "providers": "degraded" if gateway.offers_out() else "ok",
            "load": "degraded" if here.is_late or here.is_full else "ok",
            "process": "failed" if here.draining else "ok",
        }

    async def _look_around(self) -> None:
        try:
            database, cache = await asyncio.gather(self._database(), _valkey())
            self._checks = {**database, "valkey": cache}
            self._looked_at = time.monotonic()
        finally:
            self._look = None

    async def _database(self) -> Checks:
        try:
            has_partitions = await billing.has_partitions(timeout_s=POSTGRES_S)
            if not self._is_migrated:
                # Once: tables do not go back, and a look reads every app's migrations.
                self._is_migrated = await asyncio.to_thread(_is_migrated)
        except BillingUnavailable:
            return {"postgres": "failed"}
        except psycopg.Error as error:
            # The tables that are asked are not there (yet).
            log.info("readyz.not_migrated", error=type(error).__name__)
            return {"postgres": "ok", "migrations": "failed"}
        return {
            "postgres": "ok",
            "migrations": "ok" if self._is_migrated else "failed",
            "partitions": "ok" if has_partitions else "degraded",
        }


def _is_migrated() -> bool:
    """Whether every migration of this code is applied. Other, newer ones may be, too."""
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    finally:
        connection.close()


async def _valkey() -> State:
    try:
        async with asyncio.timeout(VALKEY_S):
            await valkey.client().ping()
    except valkey.AWAY as error:
        valkey.note(error)
        return "degraded"
    return "ok"


_readiness = PerLoop(Readiness)


async def livez(scope: dict[str, Any], send: Send) -> None:
    """200 for as long as the event loop runs. Looks at nothing else."""
    await _answer(scope, send, 200, {"status": "ok"})


async def readyz(scope: dict[str, Any], send: Send) -> None:
    """200 or 503, and the state of each part."""
    checks = await _readiness.get().checks()
    states = set(checks.values())
    worst: State = "failed" if "failed" in states else "degraded" if "degraded" in states else "ok"
    status = 503 if worst == "failed" else 200
    await _answer(scope, send, status, {"status": worst, "checks": checks})


ENDPOINTS: dict[str, Endpoint] = {"/livez": livez, "/readyz": readyz}


async def _answer(
    scope: dict[str, Any], send: Send, status: int, content: dict[str, object]
) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if scope["method"] not in ("GET", "HEAD"):
        status, content = 405, {"status": "method not allowed"}
        headers.append((b"allow", b"GET, HEAD"))
    body = msgspec.json.encode(content)
    headers.append((b"content-length", str(len(body)).encode()))
    if vitals.current().draining:
        headers.append((b"connection", b"close"))
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
