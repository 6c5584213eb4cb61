import pytest

from accounts.credentials import credential

BEARER = (b"authorization", b"Bearer one")
API_KEY = (b"x-api-key", b"two")
QUERY = b"a=b&key=three&key=later"
GOOGLE = (b"x-goog-api-key", b"four")


def test_the_sources_have_their_order() -> None:
    assert credential([GOOGLE, API_KEY, BEARER], QUERY) == "one"
    assert credential([GOOGLE, API_KEY], QUERY) == "two"
    assert credential([GOOGLE], QUERY) == "three"
    assert credential([GOOGLE], b"alt=sse") == "four"
    assert credential([], b"") == ""


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"Bearer   ", b"Basic dTpw", b"one"])
def test_a_header_without_a_bearer_token_counts_as_none(value: bytes) -> None:
    assert credential([(b"authorization", value), API_KEY], b"") == "two"


def test_an_empty_source_gives_way_to_the_next() -> None:
    assert credential([(b"x-api-key", b" "), GOOGLE], b"key=") == "four"


def test_the_scheme_is_matched_in_any_case() -> None:
    assert credential([(b"authorization", b"bearer one")]) == "one"


def test_a_key_in_the_query_is_unquoted() -> None:
    assert credential([], b"key=a%2Db") == "a-b"


def test_a_name_that_ends_in_key_is_another_name() -> None:
    assert credential([], b"monkey=no&keys=no") == ""


def test_bytes_that_are_no_text_are_no_error() -> None:
    assert credential([(b"authorization", b"Bearer \xff\xfe")]) == "\xff\xfe"
