"""URLs of customers, read strictly: what two programs might read differently is refused.

The request goes out with the very host, port and target that were checked here; no second parser
sees the text. Names are IDNA-encoded first and judged afterwards, so that no odd spelling of an
address (`①②⑦.0.0.1`, `0x7f.1`, `2130706433`) passes for a name. Where a name leads is
`guard`'s matter.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna
import msgspec

from ccapi.core.egress.addresses import Address
from ccapi.core.egress.errors import EgressRefused

URL_LENGTH_MAX = 8192
PORTS = (443, 8443)

# Scheme, authority, path and query; a fragment is ours alone, and stays here.
_SHAPE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_TARGET = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)  # WHATWG: a last label that is a number
# Names that mean this machine, this network, or nothing at all (RFC 6761, 6762, 7686, 8375).
_LOCAL_NAMES = """
    localhost local localdomain internal intranet private corp home lan arpa onion alt test example
    invalid
"""
_LOCAL_ENDS = frozenset(_LOCAL_NAMES.split())


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a URL leads, checked as far as its text goes."""

    secure: bool
    host: str  # in ASCII; an IPv6 address without its brackets
    port: int
    target: str  # path and query
    address: Address | None  # where the host is one
    is_named: bool  # by the operator's setting

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse(url: str, *, named: frozenset[tuple[str, int]] = frozenset()) -> Location:
    """`named` are hosts and ports that the operator allows, over http as well.

    Raises: EgressRefused.
    """
    shape = _SHAPE.fullmatch(url) if len(url) <= URL_LENGTH_MAX else None
    if shape is None:
        raise EgressRefused(f"it must be an absolute URL of at most {URL_LENGTH_MAX} characters")
    scheme, authority, target = shape[1].lower(), shape[2], shape[3]
    if scheme not in ("https", "http"):
        raise EgressRefused("its scheme must be https")
    if not _TARGET.fullmatch(target):
        raise EgressRefused("its path and query must be percent-encoded")
    host, address, port = _authority(authority, default=443 if scheme == "https" else 80)
    is_named = (host, port) in named
    if not is_named:
        _public(scheme, host, port, is_address=address is not None)
    return Location(
        secure=scheme == "https",
        host=host,
        port=port,
        target=target if target.startswith("/") else "/" + target,
        address=address,
        is_named=is_named,
    )


def host_and_port(entry: str) -> tuple[str, int]:
    """An entry of the operator's list: `hooks.internal:8080`, `127.0.0.1:9000`, `[::1]:9000`.

    Raises: ValueError.
    """
    try:
        host, _, port = _authority(entry, default=0)
    except EgressRefused as error:
        raise ValueError(f"{entry!r} is no host:port: {error.reason}") from error
    if not port:
        raise ValueError(f"{entry!r} names no port")
    return host, port


def _authority(text: str, *, default: int) -> tuple[str, Address | None, int]:
    """Host, the address that it is if it is one, and port. Raises: EgressRefused."""
    if "@" in text:
        raise EgressRefused("it must not contain a user name or password")
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or not parts[1]:
        raise EgressRefused("its host and port are malformed")
    port = int(parts[2]) if parts[2] else default
    if port > 65535 or (parts[2] and not port):
        raise EgressRefused("its port is none")
    if parts[1].startswith("["):
        six = _ip_v6(parts[1][1:-1])
        return six.compressed, six, port
    host = _ascii(parts[1])
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        four = _ip_v4(host, parts[1])
        return host, four, port
    return host, None, port


def _ascii(host: str) -> str:
    """The name in lower-case ASCII. Raises: EgressRefused."""
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError as error:  # idna's own errors are such
        raise EgressRefused("its host is no valid name") from error
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise EgressRefused("its host is no valid name")
    return name


def _ip_v4(host: str, written: str) -> IPv4Address:
    # Of the many spellings of one address only the usual is taken: four decimal numbers.
    try:
        address = IPv4Address(host)
    except AddressValueError as error:
        raise EgressRefused("its host is neither a name nor a usual IPv4 address") from error
    if host != written:
        raise EgressRefused("its host is neither a name nor a usual IPv4 address")
    return address


def _ip_v6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise EgressRefused("its host is no valid IPv6 address") from error
    if address.scope_id is not None:
        raise EgressRefused("its host must not name a zone")
    return address


def _public(scheme: str, host: str, port: int, *, is_address: bool) -> None:
    """What only the operator's list opens. Raises: EgressRefused."""
    if scheme != "https":
        raise EgressRefused("its scheme must be https")
    if port not in PORTS:
        raise EgressRefused(f"its port must be one of {', '.join(map(str, PORTS))}")
    if not is_address and ("." not in host or host.rpartition(".")[2] in _LOCAL_ENDS):
        raise EgressRefused("its host must be a public name")
