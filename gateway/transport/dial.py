"""Connecting: names to addresses, addresses to sockets, sockets to TLS.

Names are looked up off the event loop, once for all who ask at the time, and remembered for
`DNS_S`. Of several addresses the next one is tried when the one before has not answered within
`STAGGER_S`, families in turn (RFC 8305, "Happy Eyeballs"): uvloop's `create_connection` tries one
after the other, each to its end. Certificates are verified against the system's store, and
`CCAPI_CA_BUNDLE` where that is set.
"""

import asyncio
import functools
import itertools
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from django.conf import settings

DNS_S = 30.0
DNS_NAMES_MAX = 1000
STAGGER_S = 0.25
# How long a peer may take to answer TLS's farewell before its connection is dropped.
FAREWELL_S = 2.0

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Origin(NamedTuple):
    """Whose connections may be used for each other's requests."""

    secure: bool
    host: str
    port: int


class Address(NamedTuple):
    family: int
    sockaddr: tuple[str | int | bytes, ...]  # as `getaddrinfo` gives it


class Unresolved(Exception):
    """The name has no address at this time."""


class Untrusted(Exception):
    """The TLS handshake failed: no TLS there, or a certificate that is not to be believed."""


class Resolver:
    """Addresses by name, for one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[tuple[str, int], tuple[float, tuple[Address, ...]]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[tuple[Address, ...]]] = {}

    async def addresses(self, host: str, port: int) -> tuple[Address, ...]:
        """At least one, in the order in which they are to be tried. Raises: Unresolved."""
        name = (host, port)
        known = self._known.get(name)
        if known is not None and known[0] > self._loop.time():
            return known[1]
        task = self._asking.get(name)
        if task is None:
            # A task of its own: whoever asked first may leave while others wait for the answer.
            task = self._asking[name] = self._loop.create_task(self._ask(name))
            task.add_done_callback(functools.partial(self._answered, name))
        return await asyncio.shield(task)

    def forget(self, host: str, port: int) -> None:
        """Nobody answers at what is known: ask again."""
        self._known.pop((host, port), None)

    async def _ask(self, name: tuple[str, int]) -> tuple[Address, ...]:
        try:
            found = await self._loop.getaddrinfo(*name, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unresolved from error
        addresses = _interleaved([Address(family, sockaddr) for family, *_, sockaddr in found])
        if not addresses:
            raise Unresolved
        if len(self._known) >= DNS_NAMES_MAX:
            self._known.clear()
        self._known[name] = (self._loop.time() + DNS_S, addresses)
        return addresses

    def _answered(self, name: tuple[str, int], task: "asyncio.Task[tuple[Address, ...]]") -> None:
        del self._asking[name]
        if not task.cancelled():
            task.exception()  # seen, though everybody may have left


def _interleaved(found: list[Address]) -> tuple[Address, ...]:
    """The system's order, its first family first, the families in turn."""
    unique = list(dict.fromkeys(found))
    families = dict.fromkeys(address.family for address in unique)
    lanes = [[a for a in unique if a.family == family] for family in families]
    turns = itertools.zip_longest(*lanes)
    return tuple(address for turn in turns for address in turn if address is not None)


async def dial(
    origin: Origin, addresses: Sequence[Address], make: Callable[[], ProtocolT]
) -> ProtocolT:
    """A protocol on a connection to the first of the addresses that answers.

    Raises: Untrusted, OSError.
    """
    loop = asyncio.get_running_loop()
    context = await _context_of(loop) if origin.secure else None
    connected = await _first(loop, addresses)
    try:
        if context is None:
            _, protocol = await loop.create_connection(make, sock=connected)
        else:
            _, protocol = await _over_tls(loop, context, origin.host, connected, make)
    except BaseException:
        connected.close()
        raise
    return protocol


async def _over_tls(
    loop: asyncio.AbstractEventLoop,
    context: ssl.SSLContext,
    host: str,
    connected: socket.socket,
    make: Callable[[], ProtocolT],
) -> tuple[asyncio.Transport, ProtocolT]:
    try:
        return await loop.create_connection(
            make,
            sock=connected,
            ssl=context,
            server_hostname=host,
            ssl_shutdown_timeout=FAREWELL_S,
        )
    except (ssl.SSLError, ssl.CertificateError, OSError) as error:
        # The other side took the connection and then broke off: in the handshake, too.
        raise Untrusted from error


async def _first(loop: asyncio.AbstractEventLoop, addresses: Sequence[Address]) -> socket.socket:
    """A socket connected to whichever answers first, with a head start for those named first."""
    if len(addresses) == 1:
        return await _connected(loop, addresses[0])
    waiting = list(addresses)
    pending: set[asyncio.Task[socket.socket]] = set()
    error: BaseException | None = None
    winner: asyncio.Task[socket.socket] | None = None
    try:
        while winner is None and (waiting or pending):
            if waiting:
                pending.add(loop.create_task(_connected(loop, waiting.pop(0))))
            done, pending = await asyncio.wait(
                pending,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (failure := task.exception()) is not None:
                    error = failure
                elif winner is None:
                    winner = task
                else:
                    task.result().close()  # two at once: one is enough
    finally:
        for task in pending:
            task.add_done_callback(_close_late)
            task.cancel()
    if winner is None:
        raise error or OSError("no address")
    return winner.result()


def _close_late(task: "asyncio.Task[socket.socket]") -> None:
    """Of one that was no longer wanted, and had connected in the same turn."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    made = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(made, address.sockaddr)
    except BaseException:
        made.close()
        raise
    return made


async def _context_of(loop: asyncio.AbstractEventLoop) -> ssl.SSLContext:
    """Reading the store takes tens of milliseconds the first time, so not on the event loop."""
    bundle: Path | None = settings.CCAPI_CA_BUNDLE
    context = _contexts.get(bundle)
    if context is None:
        context = await loop.run_in_executor(None, make_context, bundle)
        _contexts[bundle] = context
    return context


def make_context(bundle: Path | None) -> ssl.SSLContext:
    """Verifies certificates and names; HTTP/1.1 and nothing else."""
    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(cafile=bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context


_contexts: dict[Path | None, ssl.SSLContext] = {}
