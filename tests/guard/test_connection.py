"""`ccapi.connection` on real sockets: the lane of an answer, and how a lost client is told of."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import uvicorn

from ccapi.connection import Connection
from ccapi.core.lane import Lane
from ccapi.guard.app import Guard, Rules

ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SIZED = [(b"content-length", b"4")]

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


def answer(scope: Scope) -> None:
    """A whole one."""
    scope["ccapi.lane"].head(200, SIZED)
    scope["ccapi.lane"].end(b"body")


def serving(app: App, client: Callable[[asyncio.StreamReader, Any], Awaitable[None]]) -> None:
    """Run the application on a server of ours, and one client of it."""

    async def run() -> None:
        config = uvicorn.Config(
            app, http=Connection, lifespan="off", log_config=None, server_header=False
        )
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                await client(reader, writer)
                writer.close()
        finally:
            server.should_exit = True
            await task

    asyncio.run(run())


def answered(
    make: Callable[[Lane, Callable[[], bytes]], Awaitable[None]], ask: bytes = ASK
) -> bytes:
    """What a client gets of one answer, until the server closes or is silent.

    `make` also gets a function that tells what has arrived since it was last asked.
    """
    received: list[bytes] = []
    ends: list[socket.socket] = []

    def arrived() -> bytes:
        try:
            received.append(ends[0].recv(1 << 20))
        except BlockingIOError:
            return b""
        return received[-1]

    async def app(scope: Scope, _receive: object, _send: object) -> None:
        await make(scope["ccapi.lane"], arrived)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The socket is read by hand: what has arrived is known in the turn in which it does.
        ends.append(writer.get_extra_info("socket").dup())
        ends[0].setblocking(False)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads
        writer.write(ask)
        await asyncio.sleep(0.3)
        arrived()  # the rest, which is small
        ends[0].close()

    serving(app, client)
    return b"".join(received)


def fill(lane: Lane) -> None:
    assert not lane.is_full
    while not lane.is_full:
        lane.write(b"x" * 10_000)


def lines(received: bytes) -> Sequence[bytes]:
    """The head's, without the one that names the time."""
    head = received.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [line for line in head if not line.startswith(b"date: ")]


def test_a_head_leaves_with_the_first_of_its_body_and_the_end_with_the_last() -> None:
    seen: list[bytes] = []

    async def make(lane: Lane, arrived: Callable[[], bytes]) -> None:
        lane.head(200, [(b"x-a", b"1")])
        seen.append(arrived())
        for step in (lane.write, lane.end):
            step(b"piece")
            seen.append(arrived())

    received = answered(make)

    assert seen[0] == b""
    assert lines(seen[1]) == [b"HTTP/1.1 200 OK", b"x-a: 1", b"transfer-encoding: chunked"]
    assert seen[1].endswith(b"\r\n\r\n5\r\npiece\r\n")
    assert seen[2] == b"5\r\npiece\r\n0\r\n\r\n"
    assert received == b"".join(seen)


def test_an_answer_of_known_size_is_not_sent_in_chunks() -> None:
    async def make(lane: Lane, _arrived: object) -> None:
        lane.head(404, SIZED)
        lane.write(b"bo")
        lane.end(b"dy")

    received = answered(make)

    assert lines(received) == [b"HTTP/1.1 404 Not Found", b"content-length: 4"]
    assert received.endswith(b"\r\n\r\nbody")


def test_a_request_for_a_head_alone_gets_no_body() -> None:
    async def make(lane: Lane, _arrived: object) -> None:
        lane.head(200, SIZED)
        lane.end(b"body")

    received = answered(make, ASK.replace(b"GET", b"HEAD"))

    assert lines(received) == [b"HTTP/1.1 200 OK", b"content-length: 4"]
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("sent", [b"bod", b"body!"])
def test_an_answer_of_another_size_than_told_is_a_fault_and_looks_complete_to_nobody(
    sent: bytes,
) -> None:
    async def make(lane: Lane, _arrived: object) -> None:
        lane.head(200, SIZED)
        with pytest.raises(RuntimeError, match="er than its head says"):
            lane.end(sent)
        raise RuntimeError("as an application would")

    assert answered(make) == b""


@pytest.mark.parametrize("value", [b"a\r\nx-b: 2", b"a\nx-b: 2", b"a\0"])
def test_no_header_can_be_slipped_in(value: bytes) -> None:
    async def make(lane: Lane, _arrived: object) -> None:
        with pytest.raises(RuntimeError, match="control characters"):
            lane.head(200, [*SIZED, (b"x-a", value)])
        raise RuntimeError("as an application would")

    assert answered(make) == b""


def test_an_answer_has_one_head_one_end_and_nothing_before_or_behind() -> None:
    async def make(lane: Lane, _arrived: object) -> None:
        with pytest.raises(RuntimeError, match="no head"):
            lane.write(b"body")
        lane.head(200, SIZED)
        with pytest.raises(RuntimeError, match="a head already"):
            lane.head(200, SIZED)
        lane.end(b"body")
        with pytest.raises(RuntimeError, match="longer"):
            lane.end(b"body")
        with pytest.raises(RuntimeError, match="ended already"):
            lane.end()

    assert answered(make).endswith(b"\r\n\r\nbody")


def test_who_does_not_read_fills_the_lane_until_he_reads_or_is_hung_up_on() -> None:
    async def make(lane: Lane, arrived: Callable[[], bytes]) -> None:
        lane.head(200, [])
        fill(lane)
        drained = asyncio.ensure_future(lane.drain())
        await asyncio.sleep(0.05)
        assert not drained.done()
        while not drained.done():
            arrived()
            await asyncio.sleep(0)
        fill(lane)
        drained = asyncio.ensure_future(lane.drain())
        lane.abort()
        await asyncio.wait_for(drained, 1)
        lane.write(b"dropped")
        lane.end()

    received = answered(make)

    assert len(received) > 10_000
    assert not received.endswith(b"0\r\n\r\n")


def test_a_client_that_hangs_up_is_told_of_once() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, _receive: object, _send: object) -> None:
        scope["ccapi.lane"].watch(told.set)
        scope["ccapi.lane"].head(200, [])
        scope["ccapi.lane"].write(b"begun")
        await asyncio.sleep(0.5)  # it leaves meanwhile
        assert told.is_set()
        told.clear()

    async def client(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ASK)
        await asyncio.sleep(0.1)
        writer.close()
        await told.wait()
        await asyncio.sleep(0.6)
        assert not told.is_set()

    serving(app, client)


def test_a_client_that_had_left_before_is_told_of_too() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, _receive: object, _send: object) -> None:
        await asyncio.sleep(0.3)  # it leaves meanwhile
        scope["ccapi.lane"].watch(told.set)

    async def client(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ASK)
        await asyncio.sleep(0.1)
        writer.close()
        async with asyncio.timeout(5):
            await told.wait()

    serving(app, client)

    assert told.is_set()


def test_one_that_left_after_its_answer_is_not_told_of() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, _receive: object, _send: object) -> None:
        unwatch = scope["ccapi.lane"].watch(told.set)
        answer(scope)
        unwatch()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(ASK)
            assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await asyncio.sleep(0.2)
        assert not told.is_set()

    serving(app, client)


def test_an_answer_leaves_nothing_to_the_garbage_collector() -> None:
    async def app(scope: Scope, _receive: object, _send: object) -> None:
        answer(scope)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def ask(times: int) -> None:
            for _ in range(times):
                writer.write(ASK)
                await reader.readuntil(b"body")

        await ask(5)
        gc.collect()
        gc.disable()
        try:
            await ask(100)
            found = gc.collect()
        finally:
            gc.enable()
        assert found < 100

    rules = Rules(hosts=["*"], body_bytes_max=lambda _path: 1000)
    serving(Guard(app, rules, render=lambda _path, _error: None), client)
