"""The address of the client of the request at hand, as the guard has found it.

Whoever asks for it runs on behalf of one request: in its task, in one that it began, or in a thread
that it waits for. Elsewhere (a command, a job) there is none.
"""

import ipaddress
from contextvars import ContextVar

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_told: ContextVar[str | None] = ContextVar("peer", default=None)

tell = _told.set  # for the guard alone


def address() -> Address | None:
    """None where nobody asked over the network, or over one without addresses (a unix socket)."""
    text = _told.get()
    return parse(text) if text else None


def parse(text: str) -> Address | None:
    """An IPv4 address in IPv6's clothes is the IPv4 address; what is no address is None."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def network(text: str) -> Network:
    """`203.0.113.0/24`, or one address. Raises: ValueError, also for host bits behind the mask."""
    found = ipaddress.ip_network(text)
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4 network: write it as one")
    return found
