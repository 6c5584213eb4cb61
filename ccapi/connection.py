"""The server's side of a connection: uvicorn's, with a lane for answers (`ccapi.core.lane`).

A proper close first waits until the client has taken all that was written for it. One that does not
read never does, and would keep its connection and its buffer for ever. So a lane can hang up, and a
connection that is to be closed with something left in its buffer is closed in any case after the
stall time.
"""

import asyncio
import re
import socket
from collections.abc import Callable

from django.conf import settings
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from ccapi.core import vitals
from ccapi.core.lane import Headers

# The kernel would buffer up to 4 MB of an answer for a client that does not read.
SEND_BYTES = 128 * 1024

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_SIZE = -1  # of a body that goes out in chunks


class OwnLane:
    """An answer without ASGI's messages. What uvicorn's `send` does to its cycle, this does."""

    __slots__ = ("_cycle", "_flow", "_head", "_left", "_transport", "_watch", "complete")

    def __init__(
        self,
        cycle: RequestResponseCycle,
        flow: FlowControl,
        watch: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        # What the guard adds to a head; it also learns by it that the answer has begun.
        self.complete: Callable[[Headers], Headers] | None = None
        self._cycle = cycle
        self._transport = cycle.transport
        self._flow = flow
        self._watch = watch
        self._head = b""  # that is still to be written
        self._left = _NO_SIZE  # bytes of the body that are still to come, where that is known

    @property
    def is_full(self) -> bool:
        cycle = self._cycle
        return self._flow.write_paused and not cycle.response_complete and not cycle.disconnected

    async def drain(self) -> None:
        await self._flow.drain()

    def head(self, status: int, headers: Headers) -> None:
        """Raises: RuntimeError for a second head, or a header that HTTP does not allow."""
        cycle = self._cycle
        if cycle.response_started:
            raise RuntimeError("This answer has a head already.")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        if vitals.current().draining:
            cycle.keep_alive = False
        if self.complete is not None:
            headers = self.complete(headers)
        lines = [STATUS_LINE[status]]
        values = []
        for name, value in (*cycle.default_headers, *headers):
            if name == b"content-length":
                self._left = int(value)
            lines += (name, b": ", value, b"\r\n")
            values.append(value)
        if _CONTROL.search(b"\t".join(values)):
            raise RuntimeError("A header of this answer has control characters.")
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        if self._is_head():
            self._left = 0
        elif self._left == _NO_SIZE:
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)

    def write(self, data: bytes) -> None:
        """Raises: RuntimeError for more than the head has told."""
        if not data or self._is_head():
            return
        if self._left == _NO_SIZE:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        else:
            self._count(len(data))
        self._put(data)

    def end(self, data: bytes = b"") -> None:
        """Raises: RuntimeError for more or less than the head has told."""
        cycle = self._cycle
        if self._is_head():
            data = b""
        elif self._left == _NO_SIZE:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        else:
            self._count(len(data))
            if self._left:
                raise RuntimeError("This answer is shorter than its head says.")
        if cycle.response_complete:
            raise RuntimeError("This answer has ended already.")
        self._put(data)
        if cycle.disconnected:
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()

    def _is_head(self) -> bool:
        """Whether the request wants a head alone."""
        return self._cycle.scope["method"] == "HEAD"

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise RuntimeError("This answer is longer than its head says.")

    def _put(self, data: bytes) -> None:
        """With the head, where that has not left: one system call for both."""
        if not self._cycle.response_started:
            raise RuntimeError("This answer has no head.")
        if self._head:
            data, self._head = self._head + data, b""
        if data and not self._cycle.disconnected:
            self._transport.write(data)

    def abort(self) -> None:
        self._head = b""
        self._transport.abort()

    def watch(self, gone: Callable[[], None]) -> Callable[[], None]:
        return self._watch(gone)


class Connection(HttpToolsProtocol):
    """For uvicorn's `http=` option."""

    _gone: Callable[[], None] | None = None  # of the answer that is being made
    _is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        lane = OwnLane(self.cycle, self.flow, self._watch)
        self.cycle.scope["ccapi.lane"] = lane  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add keys

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        super().connection_lost(exc)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def _watch(self, gone: Callable[[], None]) -> Callable[[], None]:
        if self._is_lost:
            self.loop.call_soon(gone)
        else:
            self._gone = gone
        return self._unwatch

    def _unwatch(self) -> None:
        self._gone = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(settings.CCAPI_CLIENT_STALL_S, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()
