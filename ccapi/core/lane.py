"""The lane: an answer's way to its client beside ASGI's messages.

ASGI takes a dictionary and a coroutine for every piece of an answer, and a task to learn that the
client has hung up. Our own server offers the same as plain calls (`scope["ccapi.lane"]`, made by
`ccapi.connection`): a piece costs a third. `Messages` is a lane over any other server's ASGI.

What is written is never waited for by itself: who has more to write asks `is_full`, and `drain`s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from ccapi.core import vitals

Header = tuple[bytes, bytes]  # its name in lower case
Headers = Iterable[Header]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

CLOSE: Header = (b"connection", b"close")


class Lane(Protocol):
    """Head once, then pieces, then the end; one writer. A client that is gone takes everything."""

    @property
    def is_full(self) -> bool:
        """Whether the client is behind: `drain` before anything more is written."""

    def head(self, status: int, headers: Headers) -> None:
        """Leaves with what is written next."""

    def write(self, data: bytes) -> None: ...

    def end(self, data: bytes = b"") -> None: ...

    async def drain(self) -> None:
        """Until the client has taken enough of what was written; at once where it is gone."""

    def abort(self) -> None:
        """Hang up at once, whatever was written. No server but ours can: theirs close later."""

    def watch(self, gone: Callable[[], None]) -> Callable[[], None]:
        """Call `gone` once the client has hung up, unless what is returned was called before.

        The whole body of the request must have been read.
        """


class Messages:
    """A lane that sends messages, where the server offers none. Full until each was sent."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._waiting: list[Mapping[str, Any]] = []

    @property
    def is_full(self) -> bool:
        return bool(self._waiting)

    def head(self, status: int, headers: Headers) -> None:
        listed = [*headers, CLOSE] if vitals.current().draining else list(headers)
        self._put({"type": "http.response.start", "status": status, "headers": listed})

    def write(self, data: bytes) -> None:
        self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        self._put({"type": "http.response.body", "body": data, "more_body": False})

    def _put(self, message: Mapping[str, Any]) -> None:
        self._waiting.append(message)

    async def drain(self) -> None:
        while self._waiting:
            await self._send(self._waiting.pop(0))

    def abort(self) -> None:
        self._waiting.clear()

    def watch(self, gone: Callable[[], None]) -> Callable[[], None]:
        watcher = asyncio.create_task(until_gone(self._receive))
        watcher.add_done_callback(lambda watcher: None if watcher.cancelled() else gone())

        def unwatch() -> None:
            watcher.cancel()

        return unwatch


async def until_gone(receive: Receive) -> None:
    """Returns when the client has hung up. `receive` must have given the whole body already."""
    while (await receive())["type"] != "http.disconnect":
        pass


def lane_of(scope: Mapping[str, Any], receive: Receive, send: Send) -> Lane:
    """The server's own, else one over its messages."""
    own: Lane | None = scope.get("ccapi.lane")
    return Messages(receive, send) if own is None else own
