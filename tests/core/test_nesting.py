"""Nesting told without parsing: exact for valid JSON, never too low, never slow."""

import contextlib
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccapi.core.errors import InvalidJSON
from ccapi.core.nesting import BRACKETS_MAX, DEPTH_MAX, _brackets, _depth, check_nesting

# Strings that look like structure, and escapes of every length.
_tricky = st.text(alphabet='[]{}"\\,:a\x00é', max_size=8)
_json = st.recursive(
    st.one_of(st.none(), st.integers(-9, 9), _tricky),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_tricky, inner, max_size=3)
    ),
    max_leaves=25,
)


def nest(levels: int, *, kind: str = "list") -> bytes:
    if kind == "list":
        return b"[" * levels + b"]" * levels
    return b'{"a":' * levels + b"1" + b"}" * levels


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@settings(max_examples=500, deadline=None)
@given(_json, st.integers(0, 40))
def test_the_depth_of_valid_json_is_exact(value: object, more: int) -> None:
    for _ in range(more):
        value = [value, "]"]

    assert _depth(_brackets(orjson.dumps(value))) == depth_of(value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_anything_at_all_can_be_asked(body: bytes) -> None:
    check_nesting(body)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_64_levels_pass_and_65_do_not(kind: str) -> None:
    check_nesting(nest(DEPTH_MAX, kind=kind))
    with pytest.raises(InvalidJSON, match="64 levels"):
        check_nesting(nest(DEPTH_MAX + 1, kind=kind))


def test_depth_is_not_hidden_by_what_stands_in_strings_or_after_it() -> None:
    deep = b"[" * 70
    hidden = [
        b'{"a":"' + b"]" * 200 + b'","b":' + deep + b"1" + b"]" * 70 + b"}",
        b'{"\\\\":' + deep + b'"' + b"]" * 300 + b'"',
        deep + b'\\"' + b"]" * 300,
        b"".join(b'["]",' for _ in range(70)),
        deep,
    ]

    for body in hidden:
        with pytest.raises(InvalidJSON):
            check_nesting(body)


def test_brackets_in_strings_are_text() -> None:
    check_nesting(orjson.dumps({"text": "[" * 1000 + '"{\\' + "{" * 1000}))


@pytest.mark.parametrize(
    "body",
    [
        nest(500_000),
        b"[" * 1_000_000,
        b"[" + b",".join([nest(63)] * 8000) + b"]",
        b'["a",' * 200_000,
        b'"\\\\' * 300_000,
    ],
    ids=["pairs", "open", "teeth", "lists", "escapes"],
)
def test_a_megabyte_made_to_be_slow_is_not(body: bytes) -> None:
    began = time.perf_counter()
    with contextlib.suppress(InvalidJSON):
        check_nesting(body)
    # Measured: 4 to 18 ms, with room here for a machine that does other things.
    assert time.perf_counter() - began < 0.5


def test_a_body_of_nothing_but_brackets_is_refused() -> None:
    with pytest.raises(InvalidJSON, match="objects and lists"):
        check_nesting(b"[" + b",".join([b"{}"] * (BRACKETS_MAX // 2)) + b"]")
