"""Signals over a real Valkey, and life without one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings
from structlog.testing import capture_logs

from ccapi.core import valkey

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def channel() -> str:
    return f"test:{uuid4().hex}"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "_publisher", None)
    monkeypatch.setattr(valkey, "_is_away", False)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def and_close() -> None:
        try:
            await main
        finally:
            await valkey.close()

    asyncio.run(and_close())


async def until(condition: Callable[[], bool], *, limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.01)


def test_a_subscriber_hears_that_it_is_connected_and_then_every_message(channel: str) -> None:
    heard: list[bytes] = []

    async def main() -> None:
        task = valkey.subscribe(channel, heard.append)
        await until(lambda: heard == [b""])
        for message in ("one", "two"):
            await asyncio.to_thread(valkey.publish, channel, message)
        await until(lambda: heard == [b"", b"one", b"two"])
        task.cancel()

    run(main())


def test_a_silent_channel_stays_connected(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "LISTEN_S", 0.1)
    heard: list[bytes] = []

    async def main() -> None:
        task = valkey.subscribe(channel, heard.append)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(valkey.publish, channel, "still")
        await until(lambda: b"still" in heard)
        task.cancel()

    run(main())
    assert heard == [b"", b"still"]


def test_a_lost_connection_comes_back_and_says_so(channel: str) -> None:
    heard: list[bytes] = []

    async def main() -> None:
        task = valkey.subscribe(channel, heard.append)
        await until(lambda: heard == [b""])
        for each in await valkey.client().client_list(_type="pubsub"):
            if each["name"] == f"ccapi:{channel}":
                await valkey.client().client_kill_filter(_id=each["id"])
        await until(lambda: heard == [b"", b""])
        await asyncio.to_thread(valkey.publish, channel, "again")
        await until(lambda: heard == [b"", b"", b"again"])
        task.cancel()

    run(main())


def test_the_client_answers_within_its_limit(channel: str) -> None:
    async def main() -> None:
        assert await valkey.client().set(channel, "1", ex=5)
        assert await valkey.client().get(channel) == b"1"
        assert valkey.client() is valkey.client()

    run(main())


def test_without_valkey_nothing_fails_and_it_is_said_once(channel: str, settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE

    async def main() -> None:
        task = valkey.subscribe(channel, lambda _: None)
        for _ in range(3):
            await asyncio.to_thread(valkey.publish, channel, "lost")
        with pytest.raises(valkey.AWAY):
            await valkey.client().get("anything")
        await asyncio.sleep(0.5)
        assert not task.done()
        task.cancel()

    with capture_logs() as lines:
        run(main())
    assert [line["event"] for line in lines] == ["valkey.away"]


def test_the_subscriber_finds_a_valkey_that_comes_later(channel: str, settings: Settings) -> None:
    url, settings.REDIS_URL = settings.REDIS_URL, NOWHERE
    heard: list[bytes] = []

    async def main() -> None:
        task = valkey.subscribe(channel, heard.append)
        await asyncio.sleep(0.3)
        settings.REDIS_URL = url
        await until(lambda: heard == [b""])
        task.cancel()

    with capture_logs() as lines:
        run(main())
    assert [line["event"] for line in lines] == ["valkey.away", "valkey.back"]
