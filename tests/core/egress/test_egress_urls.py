"""How URLs of customers are read: strictly, so that nobody reads them otherwise."""

import pytest

from ccapi.core.egress.errors import EgressRefused
from ccapi.core.egress.urls import host_and_port, parse

NAMED = frozenset({("127.0.0.1", 9000), ("::1", 9000), ("hooks.corp", 80)})


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://example.com", "example.com", "/"),
        ("HTTPS://EXAMPLE.com:443/a/b?c=d%20e#f@g", "example.com", "/a/b?c=d%20e"),
        ("https://example.com:8443?x=/../", "example.com:8443", "/?x=/../"),
        (
            "https://bücher.example.de/é".replace("é", "%C3%A9"),
            "xn--bcher-kva.example.de",
            "/%C3%A9",
        ),
        ("https://8.8.8.8/x", "8.8.8.8", "/x"),
        ("https://[2606:4700:0:0::1111]:8443/", "[2606:4700::1111]:8443", "/"),
    ],
)
def test_a_good_url_is_taken_apart(url: str, authority: str, target: str) -> None:
    location = parse(url)

    assert (location.authority, location.target) == (authority, target)
    assert location.secure


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "https:/example.com/",
        "https:example.com",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "https:///x",
        "https://",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com\\.evil.com/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nx-injected: 1",
        "https://example.com\r\nhost: evil/",
        "https://example.com/é",
        "https://example.com/%",
        "https://example.com/\x00",
        " https://example.com/",
        "https://example.com:/",
        "https://example.com:0/",
        "https://example.com:80/",
        "https://example.com:22/",
        "https://example.com:4430/",
        "https://example.com:65979/",
        "https://example.com:+443/",
        "https://example.com:४४३/",
        "https://example.com./",
        "https://example..com/",
        "https://-example.com/",
        "https://ex_ample.com/",
        "https://ex%61mple.com/",
        "https://xn--/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 127 + "com/",
        "https://example.com/" + "a" * 8192,
        "https://[::1",
        "https://::1/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://[127.0.0.1]/",
        "https://[::1]x/",
    ],
)
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        parse(url)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "ⓛocalhost",
        "\N{FULLWIDTH LATIN SMALL LETTER L}ocalhost",
        "app.localhost",
        "printer.local",
        "metadata.google.internal",
        "db",
        "router.lan",
        "nas.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "x.onion",
    ],
)
def test_a_name_of_this_machine_or_network_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        parse(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127.0.0.\N{FULLWIDTH DIGIT ONE}",
        "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
        "foo.127",
        "1.2.3.0x4",
        "1.2.3.4.5",
        "256.0.0.1",
    ],
)
def test_an_odd_spelling_of_an_address_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused, match="address"):
        parse(f"https://{host}/")


def test_hosts_that_the_operator_names_are_let_through_over_http_at_that_port_alone() -> None:
    assert parse("http://127.0.0.1:9000/x", named=NAMED).is_named
    assert parse("https://[0:0::1]:9000/x", named=NAMED).is_named
    assert parse("http://hooks.corp/x", named=NAMED).authority == "hooks.corp"
    for url in ("http://127.0.0.1:9001/", "http://127.0.0.2:9000/", "https://hooks.corp/"):
        with pytest.raises(EgressRefused):
            parse(url, named=NAMED)


@pytest.mark.parametrize(
    "url", ["http://127.1:9000/", "http://2130706433:9000/", "http://a@127.0.0.1:9000/"]
)
def test_a_named_host_is_named_by_its_usual_spelling_alone(url: str) -> None:
    with pytest.raises(EgressRefused):
        parse(url, named=NAMED)


def test_an_entry_of_the_operators_list_names_a_host_and_a_port() -> None:
    assert host_and_port("[::1]:9000") == ("::1", 9000)
    for entry in ("hooks.corp", "hooks.corp:", "http://hooks.corp:80", "127.1:80", ":80"):
        with pytest.raises(ValueError, match=r"port|host"):
            host_and_port(entry)
