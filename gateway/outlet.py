"""The client's side of an answer: where the walk puts its head and its bytes.

`Direct` writes to the ASGI server in the walk's own task (whole answers). `Channel` is a bounded
queue between the task that reads the upstream and the coroutine that writes to the client: a slow
reader slows the upstream, a vanished one is noticed, and settling never waits for either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

Headers = Iterable[tuple[bytes, bytes]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

QUEUE_FRAMES_MAX = 64
QUEUE_BYTES_MAX = 256 * 1024
# A client that takes nothing for so long, in seconds, counts as gone.
CLIENT_STALL_S = 30.0


class Outlet(Protocol):
    """Head once, then bytes, then the end."""

    async def head(self, status: int, headers: Headers) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self, data: bytes = b"") -> None: ...

    def cut(self) -> None:
        """Give up in the middle: the client must see a broken answer, never a complete one."""


class Direct:
    """Straight to the server, for answers that come whole."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def head(self, status: int, headers: Headers) -> None:
        await self._send(
            {"type": "http.response.start", "status": status, "headers": list(headers)}
        )

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def cut(self) -> None:
        # The server closes a connection whose answer was not completed.
        return


class Channel:
    """A bounded queue of bytes with one writer (the walk) and one reader (`deliver`)."""

    def __init__(self) -> None:
        self.abandoned = False
        self._head: tuple[int, Headers] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._readable = asyncio.Event()
        self._writable: asyncio.Event | None = None

    async def head(self, status: int, headers: Headers) -> None:
        self._head = (status, headers)
        self._readable.set()

    async def write(self, data: bytes) -> None:
        """Queue; waits while the queue is full. Dropped where the client is gone."""
        if self.abandoned or not data:
            return
        self._pieces.append(data)
        self._size += len(data)
        self._readable.set()
        if len(self._pieces) >= QUEUE_FRAMES_MAX or self._size >= QUEUE_BYTES_MAX:
            self._writable = asyncio.Event()
            # Not `wait_for`: on Python 3.11 it loses a cancellation that comes with its result.
            try:
                async with asyncio.timeout(CLIENT_STALL_S):
                    await self._writable.wait()
            except TimeoutError:
                self.abandon()

    async def end(self, data: bytes = b"") -> None:
        """The last bytes; never waits."""
        if data and not self.abandoned:
            self._pieces.append(data)
        self._ended = True
        self._readable.set()

    def cut(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Nobody reads any more: drop what is queued, let the writer go on."""
        self.abandoned = True
        self._pieces.clear()
        self._readable.set()
        if self._writable is not None:
            self._writable.set()

    async def deliver(self, send: Send) -> None:
        """Write everything to the client until the end. Everything queued goes out in one write."""
        while not self.abandoned:
            await self._readable.wait()
            self._readable.clear()
            if self._head is not None:
                status, headers = self._head
                self._head = None
                await send(
                    {"type": "http.response.start", "status": status, "headers": list(headers)}
                )
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            if self._writable is not None:
                self._writable.set()
                self._writable = None
            ended = self._ended
            if data or ended:
                await send({"type": "http.response.body", "body": data, "more_body": not ended})
            if ended:
                return


async def until_gone(receive: Receive) -> None:
    """Returns when the client has hung up. `receive` must have given the whole body already."""
    while (await receive())["type"] != "http.disconnect":
        pass
