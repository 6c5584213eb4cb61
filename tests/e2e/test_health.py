"""`/livez` and `/readyz`: without a key, before Django, and right about what is missing."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest
from django.db import connections
from django.test import override_settings
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from ccapi.core import clock, valkey
from ccapi.health import Checks, Readiness
from gateway.routing import board
from gateway.routing.breakers import Place
from tests import databases
from tests.e2e.stack import Stack
from tests.fakes.upstream import closed_port


@pytest.fixture(autouse=True)
def product_database(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The product's database is this process's, too."""
    settings = connections["default"].settings_dict
    with django_db_blocker.unblock():
        databases.leave()
        before, settings["NAME"] = settings["NAME"], stack.database
        yield
        databases.leave()
        settings["NAME"] = before


def looked() -> Checks:
    async def look() -> Checks:
        checks = await Readiness().checks()
        await valkey.close()
        return checks

    return asyncio.run(look())


@pytest.mark.xdist_group("alone")
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_healthy_process_says_so_without_a_key(stack: Stack, path: str) -> None:
    answer = httpx2.get(stack.webs[0].url + path)
    head = httpx2.head(stack.webs[0].url + path)
    posted = httpx2.post(stack.webs[0].url + path)

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"
    assert (head.status_code, head.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


def test_readiness_looks_at_everything_that_requests_need(stack: Stack) -> None:
    assert looked() == {
        "postgres": "ok",
        "migrations": "ok",
        "partitions": "ok",
        "valkey": "ok",
        "providers": "ok",
        "load": "ok",
        "process": "ok",
    }


def test_without_postgresql_nothing_should_be_sent_here() -> None:
    settings = connections["default"].settings_dict
    before = settings["HOST"], settings["PORT"]
    with closed_port() as dead:
        settings["HOST"], settings["PORT"] = dead.removeprefix("http://").split(":")
        try:
            checks = looked()
        finally:
            settings["HOST"], settings["PORT"] = before

    assert checks["postgres"] == "failed"


def test_without_valkey_requests_go_on_degraded() -> None:
    with (
        closed_port() as dead,
        override_settings(REDIS_URL=dead.replace("http", "redis")),
    ):
        checks = looked()

    assert checks["valkey"] == "degraded"
    assert "failed" not in checks.values()


def test_a_provider_that_is_out_of_service_only_degrades() -> None:
    async def look() -> Checks:
        place = Place(scope="provider:x", provider="x")
        board.current().breakers.failed(place, "timeout", clock.monotonic(), at_once=True)
        try:
            return await Readiness().checks()
        finally:
            board.close()
            await valkey.close()

    checks = asyncio.run(look())

    assert checks["providers"] == "degraded"
    assert "failed" not in checks.values()


def test_tables_that_are_not_those_of_this_code_are_not_ready(stack: Stack) -> None:
    settings = connections["default"].settings_dict
    settings["NAME"] = f"{stack.database}_empty"
    name = sql.Identifier(settings["NAME"])
    with databases.administering() as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
    try:
        checks = looked()
    finally:
        databases.drop(settings["NAME"])

    assert (checks["postgres"], checks["migrations"]) == ("ok", "failed")
