"""The client's side of an answer: where the walk puts its head and its bytes.

`Whole` is for answers that come in one piece. `Stream` is for those that do not: a slow reader
slows the upstream, a vanished one is noticed, and settling never waits for either.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ccapi.core.lane import Headers, Lane

# The server's own write buffer is as large: a longer answer is given to it piece by piece.
PIECE_BYTES = 64 * 1024


class Outlet(Protocol):
    """Head once, then bytes, then the end. What follows the head follows it in the same turn."""

    async def head(self, status: int, headers: Headers) -> None: ...

    async def write(self, data: bytes) -> None:
        """Write; waits while the client is behind. Dropped where it is gone."""

    def put(self, data: bytes) -> bool:
        """Write without waiting; False where the client is behind: `write` before more is put."""

    async def end(self, data: bytes = b"") -> None: ...

    def cut(self) -> None:
        """Give up in the middle: the client must see a broken answer, never a complete one."""


class Whole:
    """Straight to the server, for answers that come whole.

    A client that takes nothing of a long one for `stall_s` seconds is hung up on.
    """

    def __init__(self, lane: Lane, *, stall_s: float) -> None:
        self._lane = lane
        self._stall_s = stall_s

    async def head(self, status: int, headers: Headers) -> None:
        self._lane.head(status, headers)

    async def write(self, data: bytes) -> None:
        if not self.put(data):
            await self._lane.drain()

    def put(self, data: bytes) -> bool:
        self._lane.write(data)
        return not self._lane.is_full

    async def end(self, data: bytes = b"") -> None:
        if len(data) > PIECE_BYTES:
            view = memoryview(data)
            last = (len(data) - 1) // PIECE_BYTES * PIECE_BYTES
            try:
                for start in range(0, last, PIECE_BYTES):
                    async with asyncio.timeout(self._stall_s):
                        await self.write(bytes(view[start : start + PIECE_BYTES]))
            except TimeoutError:
                self.cut()
                return
            data = bytes(view[last:])
        self._lane.end(data)
        if self._lane.is_full:
            await self._lane.drain()

    def cut(self) -> None:
        self._lane.abort()


class Stream:
    """A streamed answer's way to the client, written by the walk's own task.

    The server's write buffer (64 KiB) is the queue: once it is full, a write waits, and so a slow
    reader slows the upstream. A client that has not emptied it in `stall_s` seconds, or hangs up,
    is given up (`abandon`): what is still written for it is dropped, and the walk goes on or ends
    by the provider's policy. A queue of our own between two tasks would hold more, and cost a
    wake-up an event (measured: a quarter of what an event costs).
    """

    def __init__(self, lane: Lane, *, on_stall: Callable[[], None], stall_s: float) -> None:
        self.abandoned = False
        self.is_closed = False  # nothing more will be written
        self._lane = lane
        self._on_stall = on_stall
        self._stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Task[None] | None = None  # the walk's task, while it waits

    async def head(self, status: int, headers: Headers) -> None:
        if not self.abandoned:
            self._lane.head(status, headers)

    async def write(self, data: bytes) -> None:
        if not self.put(data):
            await self._drain()

    def put(self, data: bytes) -> bool:
        if self.abandoned:
            return True
        if data:
            self._lane.write(data)
        return not self._lane.is_full

    async def end(self, data: bytes = b"") -> None:
        await self.write(b"")  # who is behind is waited for: an end is no end before it has left
        if not self.abandoned:
            self._lane.end(data)
            if self._lane.is_full:
                await self._drain()
        self.is_closed = True

    def cut(self) -> None:
        self.abandon()
        self._lane.abort()

    def abandon(self) -> None:
        """Nobody reads any more."""
        self.abandoned = self.is_closed = True
        if self._writer is not None:
            self._writer.cancel()

    async def _drain(self) -> None:
        writer = self._writer = asyncio.current_task(self._loop)
        timer = self._loop.call_later(self._stall_s, self._stalled)
        try:
            await self._lane.drain()
        except asyncio.CancelledError:
            if not self.is_closed or writer is None:
                raise
            # Woken by `abandon`; told to end as well where another cancellation is pending.
            if writer.uncancel():
                raise
        finally:
            timer.cancel()
            self._writer = None

    def _stalled(self) -> None:
        self._on_stall()
        # A proper close would first wait until the client has taken what is written.
        self._lane.abort()
