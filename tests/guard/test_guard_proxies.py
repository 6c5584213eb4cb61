"""Forwarded headers: whose are believed, and that nobody's stay."""

from typing import Any

import pytest

from ccapi.guard.proxies import STEERING
from tests.guard.asgi_calls import Recording, call, guard, scope

PROXIES = ["10.0.0.0/8", "2001:db8:1::/48", "unix"]
PROXY = ("10.0.0.2", 5000)


def reached(
    *headers: tuple[bytes, bytes], client: tuple[str, int] | None = ("203.0.113.9", 4000)
) -> dict[str, Any]:
    """The scope as the application gets it."""
    app = Recording()
    answer = call(guard(app, trusted_proxies=PROXIES), scope("/models", *headers, client=client))
    assert answer is not None
    assert answer.status == 200
    return app.scopes[0]


@pytest.mark.parametrize("client", [("203.0.113.9", 1), PROXY, None])
def test_no_header_that_steers_reaches_the_application_whoever_sends_it(
    client: tuple[str, int] | None,
) -> None:
    found = reached(*[(name, b"/admin") for name in sorted(STEERING)][:60], client=client)

    assert [name for name, _ in found["headers"]] == [b"host"]


def test_a_stranger_is_not_believed() -> None:
    found = reached((b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https"))

    assert (found["client"][0], found["scheme"]) == ("203.0.113.9", "http")


def test_our_proxy_tells_client_and_scheme() -> None:
    told = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https")]

    by_address, by_socket = reached(*told, client=PROXY), reached(*told, client=None)

    for found in (by_address, by_socket):
        assert (found["client"], found["scheme"]) == (("198.51.100.1", 0), "https")


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ([b"6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ([b"6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ([b"6.6.6.6", b"198.51.100.1,10.9.9.9"], "198.51.100.1"),
        ([b"10.1.1.1, 10.9.9.9"], "10.1.1.1"),
        ([b"198.51.100.1:1234"], "198.51.100.1"),
        ([b"[2001:db8:2::1]:1234"], "2001:db8:2::1"),
        ([b"2001:db8:2::1, 2001:db8:1::5"], "2001:db8:2::1"),
        ([b"6.6.6.6, nonsense, 10.9.9.9"], "10.9.9.9"),
        ([b"nonsense"], PROXY[0]),
        ([b""], PROXY[0]),
        ([b"6.6.6.6," * 1000 + b"198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_ours(told: list[bytes], client: str) -> None:
    found = reached(*[(b"x-forwarded-for", value) for value in told], client=PROXY)

    assert found["client"][0] == client


@pytest.mark.parametrize("told", [b"ftp", b"", b"https, javascript"])
def test_a_scheme_that_is_none_changes_nothing(told: bytes) -> None:
    assert reached((b"x-forwarded-proto", told), client=PROXY)["scheme"] == "http"


def test_an_ipv4_proxy_that_connects_over_ipv6_is_the_same_proxy() -> None:
    found = reached((b"x-forwarded-for", b"198.51.100.1"), client=("::ffff:10.0.0.2", 1))

    assert found["client"][0] == "198.51.100.1"


def test_a_network_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        guard(Recording(), trusted_proxies=["10.0.0.0/99"])
