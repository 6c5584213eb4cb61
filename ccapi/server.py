"""uvicorn's server, which loses nobody who stands at its door when it ends.

Connections that the kernel has accepted and we have not yet are reset when their listening socket
is closed. Behind a proxy each is a request that was already sent, and a POST is not repeated. So
whoever waits there is taken in first; what happens to them then is the protocol's
(`ccapi.guard.protocol`). Between the last look and the close there are microseconds left.
"""

import asyncio
import socket
from collections.abc import Iterable, Iterator

import uvicorn


class Server(uvicorn.Server):
    """Told when to end by its signal handlers, as uvicorn's (`ccapi.lifespan` has them first)."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waiting = list(_waiting(sockets or ()))
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connected in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connected)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes them for those that it accepts."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself does
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _waiting(listeners: Iterable[socket.socket]) -> Iterator[socket.socket]:
    """Everybody who is connected and not yet accepted."""
    for listener in listeners:
        listener.setblocking(False)
        while True:
            try:
                connected, _ = listener.accept()
            except BlockingIOError:
                break
            connected.setblocking(False)
            yield connected
