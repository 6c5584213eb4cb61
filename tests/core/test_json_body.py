import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from ccapi.core.errors import InvalidJSON, RequestTooLarge
from ccapi.core.json_body import StrictJSONParser, loads
from ccapi.core.nesting import DEPTH_MAX

plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | plain,
    lambda inner: st.lists(inner) | st.dictionaries(plain, inner),
    max_leaves=20,
)


@given(values)
def test_what_is_json_is_read_as_python_reads_it(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"[1,]",
        b"'a'",
        b'"\xff"',
        b'"\\ud800"',
        b"1e999",
        b"{} {}",
    ],
)
def test_what_is_not_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        loads(body)


@pytest.mark.parametrize("body", [rb'"a\u0000b"', rb'{"\u0000": 1}', rb'[[{"a": ["\u0000"]}]]'])
def test_a_nul_character_is_refused_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(InvalidJSON, match="NUL"):
        loads(body)


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_has_a_limit(start: bytes, end: bytes) -> None:
    loads(start * DEPTH_MAX + b"1" + end * DEPTH_MAX)

    with pytest.raises(InvalidJSON, match="nested"):
        loads(start * (DEPTH_MAX + 1) + b"1" + end * (DEPTH_MAX + 1))


def test_absurd_nesting_ends_in_a_refusal_not_in_recursion() -> None:
    with pytest.raises(InvalidJSON):
        loads(b"[" * 100_000)


def test_a_body_that_is_too_large_is_refused_unread(settings: Settings) -> None:
    settings.CCAPI_BODY_BYTES_MAX = 10

    assert StrictJSONParser().parse(io.BytesIO(b'"12345678"')) == "12345678"
    with pytest.raises(RequestTooLarge):
        StrictJSONParser().parse(io.BytesIO(b'"123456789"'))
