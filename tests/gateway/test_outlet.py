"""The client's side of a stream: slow readers, and those that leave."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway import outlet
from gateway.outlet import Stream


class Client:
    """An ASGI server's `send` for a client that reads only when told to."""

    def __init__(self) -> None:
        self.got: list[Mapping[str, Any]] = []
        self.reading = asyncio.Event()

    async def send(self, message: Mapping[str, Any]) -> None:
        await self.reading.wait()
        self.got.append(message)


def test_a_slow_reader_holds_the_writer_back() -> None:
    async def run() -> tuple[bool, list[Mapping[str, Any]]]:
        client = Client()
        stream = Stream(client.send, on_stall=lambda: None)
        writer = asyncio.create_task(stream.write(b"one"))
        await asyncio.sleep(0.05)
        waited = not writer.done()
        client.reading.set()
        await writer
        await stream.end(b"two")
        return waited, client.got

    waited, got = asyncio.run(run())

    assert waited
    assert [message["body"] for message in got] == [b"one", b"two"]
    assert [message["more_body"] for message in got] == [True, False]


def test_a_reader_that_left_never_holds_the_writer_back() -> None:
    async def run() -> tuple[bool, int]:
        client = Client()
        stream = Stream(client.send, on_stall=lambda: None)
        writer = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        stream.abandon()
        finished = await asyncio.wait_for(writer, 1)
        return finished, len(client.got)

    assert asyncio.run(run()) == (True, 0)


def test_a_client_that_takes_nothing_is_given_up_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outlet, "CLIENT_STALL_S", 0.1)

    async def run() -> tuple[bool, bool]:
        client = Client()

        def give_up() -> None:
            stream.abandon()

        stream = Stream(client.send, on_stall=give_up)
        finished = await asyncio.wait_for(asyncio.create_task(_write_much(stream)), 1)
        return finished, stream.closed.is_set()

    assert asyncio.run(run()) == (True, True)


def test_a_cancelled_walk_ends_although_its_client_does_not_read() -> None:
    async def run() -> bool:
        client = Client()
        stream = Stream(client.send, on_stall=lambda: None)
        walk = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        walk.cancel()
        await asyncio.wait({walk}, timeout=1)
        return walk.cancelled()

    assert asyncio.run(run())


def test_a_walk_told_to_end_while_its_client_left_does_end() -> None:
    async def run() -> bool:
        client = Client()
        stream = Stream(client.send, on_stall=lambda: None)
        walk = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        stream.abandon()
        walk.cancel()
        await asyncio.wait({walk}, timeout=1)
        return walk.cancelled()

    assert asyncio.run(run())


async def _write_much(stream: Stream) -> bool:
    for _ in range(1000):
        await stream.write(b"x" * 10_000)
    return True
