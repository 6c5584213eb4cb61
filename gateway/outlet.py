"""The client's side of an answer: where the walk puts its head and its bytes.

`Whole` is for answers that come in one piece. `Stream` is for those that do not: a slow reader
slows the upstream, a vanished one is noticed, and settling never waits for either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

Headers = Iterable[tuple[bytes, bytes]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

# A client that takes nothing for so long, in seconds, counts as gone.
CLIENT_STALL_S = 30.0


class Outlet(Protocol):
    """Head once, then bytes, then the end."""

    async def head(self, status: int, headers: Headers) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self, data: bytes = b"") -> None: ...

    def cut(self) -> None:
        """Give up in the middle: the client must see a broken answer, never a complete one."""


class Whole:
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


class Stream:
    """A streamed answer's way to the client, written by the walk's own task.

    The server's write buffer (64 KiB) is the queue: once it is full, `send` waits, and so a slow
    reader slows the upstream. A client that takes nothing for CLIENT_STALL_S, or hangs up, is given
    up (`abandon`): what is still written for it is dropped, and the walk goes on or ends by the
    provider's policy. A queue of our own between two tasks would hold more, and cost a wake-up an
    event (measured: a quarter of what an event costs).
    """

    def __init__(self, send: Send, *, on_stall: Callable[[], None]) -> None:
        self.abandoned = False
        self.closed = asyncio.Event()  # nothing more will be written
        self._send = send
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Task[None] | None = None  # the walk's task
        self._writing_since: float | None = None  # None: nobody waits in `send`
        self._timer = self._loop.call_later(CLIENT_STALL_S, self._look)

    async def head(self, status: int, headers: Headers) -> None:
        await self._put({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        """Write; waits while the client does not read. Dropped where it is gone."""
        if data:
            await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._put({"type": "http.response.body", "body": data, "more_body": False})
        self._close()

    def cut(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Nobody reads any more."""
        self.abandoned = True
        self._close()
        if self._writing_since is not None and self._writer is not None:
            self._writer.cancel()

    async def _put(self, message: Mapping[str, Any]) -> None:
        if self.abandoned:
            return
        if self._writer is None:
            self._writer = asyncio.current_task(self._loop)
        self._writing_since = self._loop.time()
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if not self.closed.is_set() or self._writer is None:
                raise
            # Woken by `abandon`; told to end as well where another cancellation is pending.
            if self._writer.uncancel():
                raise
        finally:
            self._writing_since = None

    def _close(self) -> None:
        self._timer.cancel()
        self.closed.set()

    def _look(self) -> None:
        since = self._writing_since
        if since is not None and self._loop.time() - since > CLIENT_STALL_S:
            self._on_stall()
        else:
            self._timer = self._loop.call_later(CLIENT_STALL_S / 2, self._look)


async def until_gone(receive: Receive) -> None:
    """Returns when the client has hung up. `receive` must have given the whole body already."""
    while (await receive())["type"] != "http.disconnect":
        pass
