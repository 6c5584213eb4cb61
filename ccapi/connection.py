"""The server's side of a connection: uvicorn's, which can also hang up.

A proper close first waits until the client has taken all that was written for it. One that does not
read never does, and would keep its connection and its buffer for ever. So the application gets the
connection's `abort` (`scope["ccapi.abort"]`), and a connection that is to be closed with something
left in its buffer is closed in any case after the stall time.
"""

import asyncio
import socket

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The kernel would buffer up to 4 MB of an answer for a client that does not read.
SEND_BYTES = 128 * 1024


class Connection(HttpToolsProtocol):
    """For uvicorn's `http=` option."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["ccapi.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add keys

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(settings.CCAPI_CLIENT_STALL_S, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()
