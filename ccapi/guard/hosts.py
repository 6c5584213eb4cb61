"""Which names a request may ask for in Host.

Exact names, `.example.com` for a domain and all below it, addresses (IPv6 in brackets), `*` for
anything; the port is never looked at; and `<address>`, any IP address written as such: a page in a
browser that was led here by its own name (DNS rebinding) has that name in Host, never an address.
"""

import ipaddress
import re
from collections.abc import Iterable

from ccapi.core.errors import InvalidRequest

ANY = "*"
ANY_ADDRESS = "<address>"
REMEMBERED_MAX = 256

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?")


class HostRule:
    """The allowed hosts. Remembers those it has let pass, up to REMEMBERED_MAX."""

    def __init__(self, allowed: Iterable[str]) -> None:
        entries = {entry.lower() for entry in allowed}
        self._any = ANY in entries
        self._any_address = ANY_ADDRESS in entries
        self._exact = {entry for entry in entries if not entry.startswith(".")}
        self._exact |= {entry[1:] for entry in entries if entry.startswith(".")}
        self._suffixes = tuple(entry for entry in entries if entry.startswith("."))
        self._passed: set[bytes] = set()

    def check(self, host: bytes | None) -> None:
        """Raises: InvalidRequest."""
        if host in self._passed:
            return
        if host is None:
            raise InvalidRequest("The request has no Host header.")
        if not self._allows(host):
            raise InvalidRequest("The request's Host is not one of this service.")
        if len(self._passed) < REMEMBERED_MAX:
            self._passed.add(host)

    def _allows(self, host: bytes) -> bool:
        parts = _HOST.fullmatch(host.decode("latin-1").lower())
        if parts is None or (parts[2] is not None and not 0 < int(parts[2]) < 65536):
            return False
        name = parts[1].removesuffix(".")
        if not _is_well_formed(name):
            return False
        if self._any or name in self._exact:
            return True
        if self._any_address and _is_address(name):
            return True
        return bool(self._suffixes) and name.endswith(self._suffixes)


def _is_well_formed(name: str) -> bool:
    if name.startswith("["):
        return _is_address(name)
    return bool(name) and ".." not in name and not name.startswith(".")


def _is_address(name: str) -> bool:
    try:
        if name.startswith("["):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
