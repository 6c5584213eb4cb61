"""The server's side of a connection: uvicorn's, which can also hang up.

A proper close first waits until the client has taken all that was written for it. One that does not
read never does, and would keep its connection and its buffer for ever. So the application gets the
connection's `abort` (`scope["ccapi.abort"]`), and a connection that is to be closed with something
left in its buffer is closed in any case after the stall time.

Whether the client hangs up an application would ask by `receive`, which takes a task for each
answer. Here it is told instead (`scope["ccapi.watch"]`). And an answer's head goes out with the
first of its body, in one system call, where the application says that both come in the same turn
of the event loop (`scope["ccapi.cork"]`).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The kernel would buffer up to 4 MB of an answer for a client that does not read.
SEND_BYTES = 128 * 1024


class Corked(asyncio.Transport):
    """A transport that keeps what comes after `cork` until the next write, or the next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._is_corked = False
        self._kept = b""

    def cork(self) -> None:
        self._is_corked = True

    def write(self, data: Any) -> None:  # noqa: ANN401 — bytes of any kind, as asyncio has it
        if self._kept:
            data, self._kept = self._kept + data, b""
        elif self._is_corked:
            self._is_corked = False
            self._kept = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def _flush(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._kept = b""
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + len(self._kept)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 — the same
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class Connection(HttpToolsProtocol):
    """For uvicorn's `http=` option."""

    _gone: Callable[[], None] | None = None  # of the answer that is being made
    _is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        self._corked = Corked(transport, self.loop)
        super().connection_made(self._corked)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["ccapi.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add keys
        self.scope["ccapi.watch"] = self.watch  # type: ignore[typeddict-unknown-key]  # the same
        self.scope["ccapi.cork"] = self._corked.cork  # type: ignore[typeddict-unknown-key]  # the same

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        super().connection_lost(exc)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def watch(self, gone: Callable[[], None]) -> Callable[[], None]:
        """Call `gone` when the client hangs up, unless what is returned was called before."""
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
