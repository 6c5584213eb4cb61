"""Bodies that are no JSON are the client's mistake, however deep the fault sits."""

import pytest

from ccapi.core.errors import InvalidJSON
from gateway.relay import parse


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model": "\xff"}',
        b'{"messages": [{"role": "user", "content": "\xc3("}]}',
        '{"model": "é"}'.encode("latin-1"),
    ],
)
def test_what_is_no_json_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        parse(body)


def test_text_of_any_language_is_taken() -> None:
    assert parse('{"model": "日本語 é"}'.encode()).keys() == {"model"}
