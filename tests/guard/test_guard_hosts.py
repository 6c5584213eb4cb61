"""Which Host is one of ours."""

import pytest

from ccapi.core.errors import InvalidRequest
from ccapi.guard import hosts
from ccapi.guard.hosts import HostRule

OURS = ["api.example.com", ".example.org", "192.0.2.1", "[2001:db8::1]"]


@pytest.mark.parametrize(
    "host",
    [
        b"api.example.com",
        b"API.Example.COM",
        b"api.example.com:8443",
        b"api.example.com.",
        b"example.org",
        b"eu.example.org:80",
        b"192.0.2.1",
        b"192.0.2.1:8000",
        b"[2001:db8::1]",
        b"[2001:db8::1]:8000",
    ],
)
def test_our_names_pass_with_any_port(host: bytes) -> None:
    HostRule(OURS).check(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"",
        b":80",
        b"example.com",
        b"evil.com",
        b"api.example.com.evil.com",
        b"evilexample.org",
        b"api.example.com@evil.com",
        b"api.example.com:80@evil.com",
        b"api.example.com/?x=",
        b"api.example.com:",
        b"api.example.com:0",
        b"api.example.com:65536",
        b"api.example.com:8000:80",
        b"api.example.com, evil.com",
        b"api.example.com evil",
        b"api.example.com\\evil",
        b"api..example.org",
        b".example.org",
        b"..example.org",
        b"2001:db8::1",
        b"[2001:db8::2]",
        b"[2001:db8::1",
        b"[::1]evil",
        b"localhost",
        b"\xffapi.example.com",
        "аpi.example.com".encode(),  # noqa: RUF001 — a Cyrillic letter is the point
    ],
)
def test_any_other_is_refused(host: bytes | None) -> None:
    with pytest.raises(InvalidRequest):
        HostRule(OURS).check(host)


def test_any_address_passes_where_that_is_said_but_no_name_that_leads_to_one() -> None:
    rule = HostRule(["localhost", ".localhost", "<address>"])

    for host in (b"127.0.0.1:8000", b"[::1]:8000", b"10.0.0.5", b"localhost", b"a.localhost:1"):
        rule.check(host)
    for host in (b"rebound.evil.com", b"127.0.0.1.evil.com", b"127.1", b"[::1].evil.com"):
        with pytest.raises(InvalidRequest):
            rule.check(host)


def test_a_star_takes_every_name_that_is_one() -> None:
    HostRule(["*"]).check(b"anything.example")
    with pytest.raises(InvalidRequest):
        HostRule(["*"]).check(b"a/../b")


def test_what_is_remembered_is_bounded() -> None:
    rule = HostRule(["*"])

    for number in range(2 * hosts.REMEMBERED_MAX):
        rule.check(b"h%d.example" % number)

    assert len(rule._passed) == hosts.REMEMBERED_MAX
