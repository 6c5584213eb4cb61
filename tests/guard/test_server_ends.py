"""`ccapi.server` at its end, on real sockets: who is at the door, or about to ask, is answered."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
import uvloop

from ccapi.guard.protocol import ASK_S, GuardedProtocol
from ccapi.server import Server

ASK = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"

Place = tuple[str, int]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(_scope: object, _receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"body"})


class Ending:
    """A server on a port of its own, and its end."""

    def __init__(self) -> None:
        config = uvicorn.Config(
            app, http=GuardedProtocol, lifespan="off", log_config=None, access_log=False
        )
        config.load()
        self._server = Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place: Place = self._listener.getsockname()

    async def start(self) -> None:
        await self._server.startup(sockets=[self._listener])

    async def end(self) -> None:
        await self._server.shutdown([self._listener])


def run(play: Callable[[Ending], Awaitable[None]]) -> None:
    async def played() -> None:
        server = Ending()
        await server.start()
        async with asyncio.timeout(10):
            await play(server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        runner.run(played())


async def connected(place: Place) -> Client:
    client = await asyncio.open_connection(*place)
    await asyncio.sleep(0.05)  # accepted
    return client


async def answer(client: Client) -> bytes:
    """All that comes until the server closes."""
    received = await client[0].read()
    client[1].close()
    return received


def assert_last(received: bytes) -> None:
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in received
    assert received.endswith(b"\r\n\r\nbody")


def test_who_was_connected_but_not_accepted_is_answered() -> None:
    async def play(server: Ending) -> None:
        # In one turn of the loop: the kernel alone has met them when the end begins.
        waiting = [socket.create_connection(server.place) for _ in range(20)]
        for each in waiting:
            each.sendall(ASK)
        await server.end()

        for each in waiting:
            assert (await answer(await asyncio.open_connection(sock=each))).endswith(b"body")

    run(play)


def test_who_was_accepted_and_asks_a_moment_later_is_answered() -> None:
    async def play(server: Ending) -> None:
        client = await connected(server.place)
        end = asyncio.create_task(server.end())
        await asyncio.sleep(0.1)
        client[1].write(ASK)

        assert_last(await answer(client))
        await end

    run(play)


def test_a_request_whose_head_has_begun_is_answered() -> None:
    async def play(server: Ending) -> None:
        client = await connected(server.place)
        client[1].write(ASK + ASK[:10])
        await client[0].readuntil(b"body")
        end = asyncio.create_task(server.end())
        await asyncio.sleep(2 * ASK_S)
        client[1].write(ASK[10:])

        assert_last(await answer(client))
        await end

    run(play)


def test_who_asks_nothing_is_not_waited_for() -> None:
    async def play(server: Ending) -> None:
        silent = await connected(server.place)
        idle = await connected(server.place)
        idle[1].write(ASK)
        await idle[0].readuntil(b"body")
        began = time.monotonic()
        end = asyncio.create_task(server.end())

        assert await answer(idle) == b""
        assert time.monotonic() - began < ASK_S
        assert await answer(silent) == b""
        await end
        assert time.monotonic() - began < 2 * ASK_S + 1

    run(play)
