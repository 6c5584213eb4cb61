"""`ccapi.connection` on real sockets: what leaves together, and how a lost client is told of."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from ccapi.connection import Connection, Corked

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
BODY = {"type": "http.response.body", "body": b"body", "more_body": False}
ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Any, Send], Awaitable[None]]


async def corked() -> tuple[Corked, socket.socket]:
    """One over a real socket, and the socket's other end."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    theirs.setblocking(False)
    return Corked(transport, loop), theirs


def arrived(end: socket.socket) -> bytes | None:
    """What has come; None where nothing has."""
    try:
        return end.recv(100)
    except BlockingIOError:
        return None


def test_what_is_written_after_a_cork_leaves_with_the_next_write() -> None:
    async def run() -> list[bytes | None]:
        transport, end = await corked()
        transport.cork()
        transport.write(b"head ")
        seen = [arrived(end)]
        assert transport.get_write_buffer_size() == 5
        transport.write(b"body")
        seen.append(arrived(end))
        await asyncio.sleep(0)
        seen.append(arrived(end))
        transport.write(b" more")
        seen.append(arrived(end))
        transport.close()
        end.close()
        return seen

    assert asyncio.run(run()) == [None, b"head body", None, b" more"]


def test_what_nothing_follows_leaves_in_the_next_turn() -> None:
    async def run() -> list[bytes | None]:
        transport, end = await corked()
        transport.cork()
        transport.write(b"head")
        seen = [arrived(end)]
        await asyncio.sleep(0)
        seen.append(arrived(end))
        transport.close()
        end.close()
        return seen

    assert asyncio.run(run()) == [None, b"head"]


def test_closing_sends_what_was_kept_and_aborting_drops_it() -> None:
    async def run(end_it: Callable[[Corked], None]) -> bytes | None:
        transport, end = await corked()
        transport.cork()
        transport.write(b"head")
        end_it(transport)
        await asyncio.sleep(0.01)
        seen = arrived(end)
        end.close()
        return seen

    assert asyncio.run(run(Corked.close)) == b"head"
    assert asyncio.run(run(Corked.abort)) == b""


def serving(app: App, client: Callable[[asyncio.StreamReader, Any], Awaitable[None]]) -> None:
    """Run the application on a server of ours, and one client of it."""

    async def run() -> None:
        config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None)
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


def test_a_client_that_hangs_up_is_told_of_once() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, _receive: object, send: Send) -> None:
        scope["ccapi.watch"](told.set)
        await send({**HEAD, "headers": []})
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

    async def app(scope: Scope, _receive: object, _send: Send) -> None:
        await asyncio.sleep(0.3)  # it leaves meanwhile
        scope["ccapi.watch"](told.set)

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

    async def app(scope: Scope, _receive: object, send: Send) -> None:
        unwatch = scope["ccapi.watch"](told.set)
        scope["ccapi.cork"]()
        await send(HEAD)
        await send(BODY)
        unwatch()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(ASK)
            assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await asyncio.sleep(0.2)
        assert not told.is_set()

    serving(app, client)
