"""The client's side of an answer: where the walk puts its head and its bytes.

`Whole` is for answers that come in one piece. `Stream` is for those that do not: a slow reader
slows the upstream, a vanished one is noticed, and settling never waits for either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from ccapi.core import vitals

Headers = Iterable[tuple[bytes, bytes]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Abort = Callable[[], None]
Cork = Callable[[], None]

# The server's own write buffer is as large: a longer answer is given to it piece by piece.
PIECE_BYTES = 64 * 1024
CLOSE = (b"connection", b"close")


def no_abort() -> None:
    """Where the server cannot hang up at once, it closes as the application returns."""


def no_cork() -> None:
    """Where the server cannot keep a head for its body, each goes out by itself."""


class Outlet(Protocol):
    """Head once, then bytes, then the end. What follows the head follows it in the same turn."""

    async def head(self, status: int, headers: Headers) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self, data: bytes = b"") -> None: ...

    def cut(self) -> None:
        """Give up in the middle: the client must see a broken answer, never a complete one."""


def _head(status: int, headers: Headers) -> dict[str, Any]:
    """The message that begins an answer. A process that ends keeps no connection."""
    listed = list(headers)
    if vitals.current().draining:
        listed.append(CLOSE)
    return {"type": "http.response.start", "status": status, "headers": listed}


class Whole:
    """Straight to the server, for answers that come whole.

    A client that takes nothing of a long one for `stall_s` seconds is hung up on.
    """

    def __init__(
        self, send: Send, *, stall_s: float, abort: Abort = no_abort, cork: Cork = no_cork
    ) -> None:
        self._send = send
        self._stall_s = stall_s
        self._abort = abort
        self._cork = cork

    async def head(self, status: int, headers: Headers) -> None:
        self._cork()
        await self._send(_head(status, headers))

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

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
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def cut(self) -> None:
        self._abort()


class Stream:
    """A streamed answer's way to the client, written by the walk's own task.

    The server's write buffer (64 KiB) is the queue: once it is full, `send` waits, and so a slow
    reader slows the upstream. A client that has not emptied it in `stall_s` seconds, or hangs up,
    is given up (`abandon`): what is still written for it is dropped, and the walk goes on or ends
    by the provider's policy. A queue of our own between two tasks would hold more, and cost a
    wake-up an event (measured: a quarter of what an event costs).
    """

    def __init__(
        self,
        send: Send,
        *,
        on_stall: Callable[[], None],
        stall_s: float,
        abort: Abort = no_abort,
        cork: Cork = no_cork,
    ) -> None:
        self.abandoned = False
        self.closed = asyncio.Event()  # nothing more will be written
        self._send = send
        self._on_stall = on_stall
        self._stall_s = stall_s
        self._abort = abort
        self._cork = cork
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Task[None] | None = None  # the walk's task
        self._writing_since: float | None = None  # None: nobody waits in `send`
        self._timer = self._loop.call_later(stall_s, self._look)

    async def head(self, status: int, headers: Headers) -> None:
        self._cork()
        await self._put(_head(status, headers))

    async def write(self, data: bytes) -> None:
        """Write; waits while the client does not read. Dropped where it is gone."""
        if data:
            await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._put({"type": "http.response.body", "body": data, "more_body": False})
        self._close()

    def cut(self) -> None:
        self.abandon()
        self._abort()

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
        if since is not None and self._loop.time() - since > self._stall_s:
            self._on_stall()
            # A proper close would first wait until the client has taken what is written.
            self._abort()
        else:
            self._timer = self._loop.call_later(self._stall_s / 2, self._look)


def watch(
    scope: Mapping[str, Any], receive: Receive, gone: Callable[[], None]
) -> Callable[[], None]:
    """Call `gone` once the client has hung up, unless what is returned was called before.

    Our own server tells (`ccapi.connection`); any other is asked, by a task. The whole body must
    have been read.
    """
    told: Callable[[Callable[[], None]], Callable[[], None]] | None = scope.get("ccapi.watch")
    if told is not None:
        return told(gone)
    watcher = asyncio.create_task(until_gone(receive))
    watcher.add_done_callback(lambda watcher: None if watcher.cancelled() else gone())

    def unwatch() -> None:
        watcher.cancel()

    return unwatch


async def until_gone(receive: Receive) -> None:
    """Returns when the client has hung up. `receive` must have given the whole body already."""
    while (await receive())["type"] != "http.disconnect":
        pass
