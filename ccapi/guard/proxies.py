"""Forwarded headers: believed from our own proxies, removed from everybody else's requests.

Of what a proxy tells, the client's address (`X-Forwarded-For`, the rightmost that is not one of our
proxies) and the scheme (`X-Forwarded-Proto`, the last) are taken over into the scope; then the
headers go, so that nothing behind the guard can be led by them. `Forwarded`, `X-Real-IP` and
`X-Forwarded-Host` are never believed: a proxy that sets one of two spellings lets a client's other
one through.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ccapi.guard.headers import Header

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A proxy that connects over a unix socket has no address; this name stands for it.
UNIX = "unix"
HOPS_MAX = 16

FORWARDED_FOR = b"x-forwarded-for"
FORWARDED_PROTO = b"x-forwarded-proto"
# What some server, framework or proxy takes for the truth about client, host, path or method.
STEERING = frozenset(
    {
        FORWARDED_FOR,
        FORWARDED_PROTO,
        b"x-forwarded",
        b"x-forwarded-by",
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-forwarded-url",
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-originating-ip",
        b"x-remote-addr",
        b"x-remote-ip",
        b"x-remote-user",
        b"true-client-ip",
        b"client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"front-end-https",
        b"x-url-scheme",
        b"x-host",
        b"x-http-host-override",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-script-name",
        b"daphne-root-path",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"proxy",  # becomes HTTP_PROXY in an environment
    }
)


class Proxies:
    """Our own proxies: networks (`10.0.0.0/8`, `::1`), and `unix`. None by default."""

    def __init__(self, trusted: Iterable[str]) -> None:
        entries = set(trusted)
        self._unix = UNIX in entries
        self._networks = [ipaddress.ip_network(entry) for entry in entries - {UNIX}]
        # Addresses of proxies are few, those of clients are not: the cache is bounded.
        self._knows = lru_cache(maxsize=1024)(self._is_ours)

    def apply(self, scope: dict[str, Any]) -> None:
        """Take over what one of ours tells; remove what anybody does."""
        headers: list[Header] = scope["headers"]
        client = scope.get("client")
        ours = self._unix if client is None else self._knows(client[0])
        if ours:
            told = [value.decode("latin-1") for name, value in headers if name == FORWARDED_FOR]
            if told:
                scope["client"] = self._client(",".join(told)) or client
            schemes = [value for name, value in headers if name == FORWARDED_PROTO]
            scheme = schemes[-1].rpartition(b",")[2].strip().lower() if schemes else b""
            if scheme in (b"http", b"https"):
                scope["scheme"] = scheme.decode()
        scope["headers"] = [pair for pair in headers if pair[0] not in STEERING]

    def _client(self, told: str) -> tuple[str, int] | None:
        """The nearest address that is not ours; the farthest of ours where all are."""
        found: tuple[str, int] | None = None
        for hop in reversed(told.split(",")[-HOPS_MAX:]):
            address = _address(hop.strip())
            if address is None:
                break  # what stands left of nonsense was told by a stranger
            found = (address, 0)
            if not self._knows(address):
                break
        return found

    def _is_ours(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _address(hop: str) -> str | None:
    """`1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80` → the address alone."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(hop))
    except ValueError:
        return None
