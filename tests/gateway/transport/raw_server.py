"""A server that is nothing but a socket: each connection runs what the test says, byte by byte."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.transport import client

Handler = Callable[["Wire"], Awaitable[None]]
Runner = Callable[[Any], Any]

BODY = b'{"a": "b"}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4;x=y\r\n{"a"\r\n6\r\n: "b"}\r\n0\r\nsum: 1\r\n\r\n'
)
# The loop of production, and the one of daphne and of most tests.
LOOPS = pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])


class Wire:
    """One connection as the server has it."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number  # 1 for the server's first connection
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request. Raises: IncompleteReadError where there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        return head, await self.reader.readexactly(int(lines[b"content-length"]))

    async def send(self, *pieces: bytes, pause_s: float = 0.0005) -> None:
        """Each piece in a packet of its own."""
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(pause_s)
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """Hang up without a farewell: the other side's reads fail."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Until the client has hung up."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass


class Server:
    def __init__(self, port: int, scheme: str) -> None:
        self.url = f"{scheme}://localhost:{port}/v1/x"
        self.port = port
        self.connections = 0
        self.wires: set[Wire] = set()

    @property
    def open(self) -> int:
        return len(self.wires)


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server for the block; all connections are closed with it, and the handlers end."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        wire = Wire(server.connections, reader, writer)
        server.wires.add(wire)
        try:
            await handler(wire)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has hung up
        finally:
            server.wires.discard(wire)
            writer.close()

    listener = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls, backlog=1024)
    server = Server(listener.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield server
    finally:
        await client.close()
        listener.close()
        for wire in server.wires:
            wire.writer.transport.abort()
        await until(lambda: server.open == 0)


async def post(server: Server, body: bytes = b"{}", **headers: str) -> client.Upstream:
    return await client.post(
        server.url, body, {"content-type": "application/json", **headers}, connect_s=2.0
    )


async def ask(server: Server, body: bytes = b"{}", **headers: str) -> bytes:
    """The whole body of an answer."""
    upstream = await post(server, body, **headers)
    try:
        return await upstream.read_all()
    finally:
        upstream.close()


async def until(condition: Callable[[], bool], within_s: float = 3.0) -> None:
    """Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 — the condition is another loop turn's work
            await asyncio.sleep(0.002)


async def answer_all(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.send(WHOLE)


def descriptors() -> int:
    """How many are open in this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
