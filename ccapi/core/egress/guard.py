"""The guard: from a customer's URL to a connection that leads where it may, or none.

A name is looked up once; every address that it has must be public; the connection goes to one of
those very addresses, and who is at its other end is asked again before anything is sent. So an
answer of DNS that changes between check and use has no moment to change in. The same holds at
registration (`check`) and at every call (`connect`).
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import ip_address

import httpcore2
import msgspec

from ccapi.core.egress.addresses import Address, Network, is_public
from ccapi.core.egress.errors import EgressFailed, EgressRefused
from ccapi.core.egress.urls import Location, parse

LOOKUP_S = 5.0
CONNECT_S = 5.0  # for each address
ADDRESSES_MAX = 4  # tried; all of them are checked

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
Dial = Callable[[Address, int], Awaitable[httpcore2.AsyncNetworkStream]]

THREADS = 32


async def lookup(host: str, port: int) -> list[Address]:
    """The system's own answer. Raises: OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_threads(os.getpid()), _getaddrinfo, host, port)
    # A scope (`fe80::1%eth0`) is no part of a public address; `ip_address` keeps it visible.
    return list(dict.fromkeys(map(ip_address, found)))


@lru_cache(maxsize=1)
def _threads(_pid: int) -> ThreadPoolExecutor:
    """Of this process.

    `getaddrinfo` cannot be given up: a customer's silent name server holds a thread for half a
    minute. So these are threads of their own, and not without bound.
    """
    return ThreadPoolExecutor(THREADS, thread_name_prefix="egress")


def _getaddrinfo(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def dial(address: Address, port: int) -> httpcore2.AsyncNetworkStream:
    """A plain connection to an address. Raises: httpcore2's errors."""
    backend = httpcore2.AnyIOBackend()
    return await backend.connect_tcp(str(address), port, timeout=CONNECT_S)


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """`named`: hosts and ports that the operator trusts, whatever they resolve to.

    `denied`: public networks that are our own. `resolve` and `dial` are the network.
    """

    named: frozenset[tuple[str, int]] = frozenset()
    denied: tuple[Network, ...] = ()
    resolve: Resolve = lookup
    dial: Dial = dial

    async def check(self, url: str) -> Location:
        """The rule, without a connection. Raises: EgressRefused, EgressFailed."""
        location = parse(url, named=self.named)
        await self.addresses(location)
        return location

    async def addresses(self, location: Location) -> list[Address]:
        """Where to connect. Raises: EgressRefused, EgressFailed."""
        found = [location.address] if location.address is not None else await self._asked(location)
        if not location.is_named and not all(self._is_public(address) for address in found):
            raise EgressRefused("its host is not on the public internet")
        return found[:ADDRESSES_MAX]

    async def connect(self, location: Location) -> httpcore2.AsyncNetworkStream:
        """A connection to a checked address. Raises: EgressRefused, EgressFailed."""
        for address in await self.addresses(location):
            try:
                stream = await self.dial(address, location.port)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
            if not location.is_named and not self._leads_to_public(stream):
                await stream.aclose()
                raise EgressRefused("its host is not on the public internet")
            return stream
        raise EgressFailed("its host cannot be reached")

    async def _asked(self, location: Location) -> list[Address]:
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = list(await self.resolve(location.host, location.port))
        except TimeoutError as error:
            raise EgressFailed("its host's name takes too long to look up") from error
        except (OSError, UnicodeError) as error:
            raise EgressFailed("its host's name does not resolve") from error
        if not found:
            raise EgressFailed("its host's name does not resolve")
        return found

    def _is_public(self, address: Address) -> bool:
        return is_public(address, denied=self.denied)

    def _leads_to_public(self, stream: httpcore2.AsyncNetworkStream) -> bool:
        """Asked of the socket itself: a redirecting firewall rule is somebody else's."""
        try:
            peer = stream.get_extra_info("socket").getpeername()
            return self._is_public(ip_address(peer[0]))
        except (OSError, ValueError):  # gone already, or no internet socket at all
            return False
