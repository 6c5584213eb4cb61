"""Header rules: bounds, shapes, and a body whose end nobody can read in two ways."""

import pytest

from ccapi.core.errors import InvalidRequest, RequestTooLarge, UnsupportedParameter
from ccapi.guard import headers
from ccapi.guard.headers import Smuggling


def test_what_an_sdk_sends_passes() -> None:
    found = headers.check([(b"host", b"a"), (b"accept", b"*/*"), (b"accept", b"text/html")])

    assert found == {b"host": b"a", b"accept": b"text/html"}


def test_64_headers_pass_and_65_do_not() -> None:
    many = [(b"x-%d" % number, b"1") for number in range(65)]

    headers.check(many[:64])
    with pytest.raises(RequestTooLarge):
        headers.check(many)


def test_16_kib_of_headers_pass_and_more_do_not() -> None:
    headers.check([(b"x", b"v" * 16_000)])
    with pytest.raises(RequestTooLarge):
        headers.check([(b"x", b"v" * 16_384)])
    with pytest.raises(RequestTooLarge):
        headers.check([(b"x-%d" % number, b"v" * 1000) for number in range(17)])


def test_a_name_with_an_underscore_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="underscore"):
        headers.check([(b"x_forwarded_for", b"1.2.3.4")])


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85])
def test_a_value_with_a_control_character_is_refused(code: int) -> None:
    with pytest.raises(InvalidRequest, match="control"):
        headers.check([(b"x", b"a" + bytes([code]) + b"b")])


@pytest.mark.parametrize("name", sorted(headers.SINGLE))
def test_two_of_a_header_that_decides_are_refused_even_if_they_agree(name: bytes) -> None:
    with pytest.raises(Smuggling, match="more than once"):
        headers.check([(name, b"1"), (b"accept", b"a"), (name, b"1")])


@pytest.mark.parametrize(
    ("found", "version"),
    [
        ({b"transfer-encoding": b"chunked", b"content-length": b"5"}, "1.1"),
        ({b"transfer-encoding": b"gzip, chunked"}, "1.1"),
        ({b"transfer-encoding": b"chunked, chunked"}, "1.1"),
        ({b"transfer-encoding": b"identity"}, "1.1"),
        ({b"transfer-encoding": b""}, "1.1"),
        ({b"transfer-encoding": b"chunked"}, "1.0"),
        ({b"upgrade": b"h2c", b"content-length": b"5"}, "1.1"),
        ({b"upgrade": b"h2c", b"transfer-encoding": b"chunked"}, "1.1"),
    ],
)
def test_an_ambiguous_body_is_refused_and_closes(found: dict[bytes, bytes], version: str) -> None:
    with pytest.raises(Smuggling) as refused:
        headers.check_framing(found, version)

    assert refused.value.closes


@pytest.mark.parametrize(
    "found",
    [
        {},
        {b"transfer-encoding": b"Chunked"},
        {b"upgrade": b"h2c"},
        {b"upgrade": b"h2c", b"content-length": b"0"},
        {b"content-encoding": b"identity"},
        {b"expect": b"100-Continue"},
    ],
)
def test_what_can_be_read_in_one_way_passes(found: dict[bytes, bytes]) -> None:
    headers.check_framing(found, "1.1")


def test_a_compressed_body_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        headers.check_framing({b"content-encoding": b"gzip"}, "1.1")

    assert refused.value.param == "content-encoding"


@pytest.mark.parametrize("value", [b"", b"-1", b"+5", b"5, 5", b"0x10", b"5 ", b"1e3", b"\xb2"])
def test_a_length_that_is_no_plain_number_is_refused(value: bytes) -> None:
    with pytest.raises(Smuggling):
        headers.content_length(value, 100)


def test_a_length_beyond_the_limit_is_too_large_however_many_digits_it_has() -> None:
    assert headers.content_length(b"100", 100) == 100
    for value in (b"101", b"9" * 5000):
        with pytest.raises(RequestTooLarge):
            headers.content_length(value, 100)
