"""Which IP addresses a customer's URL may lead to: global unicast ones, and nothing of ours.

Python's `is_private` and `is_global` do not tell (3.11: `is_private` is false for carrier-grade
NAT, `is_global` is true for NAT64 of a loopback address), so the special ranges are listed. An
address that carries another one inside is judged by the inner one, or refused where no honest
server has such an address.
Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (as of 2026-10).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, to every guest
        "169.254.0.0/16",  # link-local; 169.254.169.254 is metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is a cloud's metadata
        "192.0.2.0/24",
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")  # all the unicast that is given out; the rest is special
_SPECIAL_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of its interface ids; the lower is an IPv4


def is_public(address: Address, *, denied: tuple[Network, ...] = ()) -> bool:
    """Whether a customer may be answered from there. `denied` are public networks of our own."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner, denied=denied) and not _within(address, denied)
        special = address not in _GLOBAL_6 or _within(address, _SPECIAL_6)
        special = special or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    else:
        special = _within(address, _SPECIAL_4)
    return not special and address.is_global and not _within(address, denied)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address behind a mapped or NAT64 one, which is where packets for it end."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:  # a network without IPv4 reaches every IPv4 server so
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _within(address: Address, networks: "tuple[Network, ...]") -> bool:
    return any(address in network for network in networks)


def network(text: str) -> Network:
    """`192.0.2.0/24`, or one address. Raises: ValueError."""
    return ip_network(text)
