"""Connections that are kept for the next request to the same origin, one pool an event loop.

Last in, first out: the warm ones stay in use, the rest grow old and are closed. How many are in use
is the walk's own affair; how many idle is bounded here.
"""

import asyncio

from gateway.transport.connection import Connection
from gateway.transport.dial import Origin, Resolver, Unresolved, Untrusted, dial
from gateway.transport.failures import broken, too_slow_to_connect, unconnected

# Shorter than the other side's, commonly 60 s and more, so that it rarely closes first.
IDLE_S = 15.0
# Connections that are always busy follow a change of the name's addresses after so long.
AGE_S = 600.0
IDLE_MAX = 256  # an origin
SWEEP_S = 5.0


class Pool:
    """The idle connections of one event loop, and how new ones are made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver(self._loop)
        # Dictionaries as ordered sets: the last one that came is taken first.
        self._idle: dict[Origin, dict[Connection, None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self, origin: Origin) -> Connection | None:
        """An idle connection, the most recently used one."""
        idle = self._idle.get(origin)
        now = self._loop.time()
        while idle:
            connection, _ = idle.popitem()
            if connection.idle_since + IDLE_S > now:
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin, *, within_s: float) -> Connection:
        """A new connection. Raises: AttemptFailed."""
        try:
            async with asyncio.timeout(within_s):
                return await self._connect(origin)
        except Unresolved as error:
            raise unconnected(broken("its name could not be resolved")) from error
        except Untrusted as error:
            raise unconnected(broken("its TLS handshake failed")) from error
        except TimeoutError as error:
            self._resolver.forget(origin.host, origin.port)
            raise unconnected(too_slow_to_connect()) from error
        except OSError as error:
            self._resolver.forget(origin.host, origin.port)
            raise unconnected(broken("it refused the connection")) from error

    async def _connect(self, origin: Origin) -> Connection:
        addresses = await self._resolver.addresses(origin.host, origin.port)

        def make() -> Connection:
            return Connection(
                self._loop,
                release=lambda connection: self._put(origin, connection),
                forget=lambda connection: self._forget(origin, connection),
            )

        return await dial(origin, addresses, make)

    def _put(self, origin: Origin, connection: Connection) -> None:
        idle = self._idle.setdefault(origin, {})
        if (
            self._is_closed
            or len(idle) >= IDLE_MAX
            or connection.opened_at + AGE_S < connection.idle_since
        ):
            connection.close()
            return
        idle[connection] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _forget(self, origin: Origin, connection: Connection) -> None:
        """The other side has closed it."""
        self._idle.get(origin, {}).pop(connection, None)

    def _sweep(self) -> None:
        """Close what has been idle for too long; again later while something is left."""
        old = self._loop.time() - IDLE_S
        for origin, idle in list(self._idle.items()):
            for connection in [each for each in idle if each.idle_since < old]:
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[origin]
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self._idle else None

    def close(self) -> None:
        """Close what is idle; what is in use is closed when its answer ends."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
