"""Fields set by their place in the bytes: they alone change, however the object is written."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.shared import raws
from gateway.protocols.shared.splice import beginning, splice

NAMES = ["id", "model", "provider", "choices", "usage", 'a"b', "ü", ""]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), unique_by=lambda pair: pair[0]).map(
    dict
)
CHANGES = st.dictionaries(st.sampled_from(["model", "provider", "usage"]), VALUES)
# Without blanks, Python's default, indented, and with blanks that are alike nowhere.
STYLES: dict[str, Callable[[Any], str]] = {
    "compact": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "python": lambda value: json.dumps(value, ensure_ascii=False),
    "escaped": json.dumps,
    "indented": lambda value: json.dumps(value, indent=2),
    "odd": lambda value: json.dumps(value, separators=(" ,\t", " : ")).replace("{", "{ ", 1),
}
STYLE = st.sampled_from(list(STYLES))


def written(value: dict[str, Any], style: str) -> bytes:
    return STYLES[style](value).encode("utf-8", "surrogatepass")


def encoded(changes: dict[str, Any]) -> dict[str, bytes]:
    return {name: json.dumps(value).encode() for name, value in changes.items()}


@given(OBJECTS, CHANGES, STYLE, st.sampled_from(NAMES))
def test_what_is_set_is_set_and_all_else_stays(
    value: dict[str, Any], changes: dict[str, Any], style: str, after: str
) -> None:
    data = written(value, style)

    new = splice(data, raws.decode_object(data), encoded(changes), after=after)

    assert json.loads(new) == {**value, **changes}
    for name, kept in raws.decode_object(data).items():
        if name not in changes:
            assert bytes(raws.decode_object(new)[name]) == bytes(kept)


@given(OBJECTS, CHANGES, STYLE, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_the_beginning_is_that_of_the_whole_edit(
    value: dict[str, Any], changes: dict[str, Any], style: str, after: str, before: str
) -> None:
    data = written(value, style)
    fields = raws.decode_object(data)

    found = beginning(data, fields, encoded(changes), after=after, before=before)

    if found is not None:
        old, new = found
        assert data.startswith(old)
        assert new + data[len(old) :] == splice(data, fields, encoded(changes), after=after)


@pytest.mark.parametrize("style", ["compact", "python", "indented"])
def test_the_beginning_of_a_usual_chunk_is_found(style: str) -> None:
    chunk = {"id": "x", "created": 1, "model": "m", "choices": [{"delta": {"content": "{"}}]}
    data = written(chunk, style)
    changes = {"model": b'"acme/m"', "provider": b'"acme"'}

    found = beginning(data, raws.decode_object(data), changes, after="model", before="choices")

    assert found is not None
    old, new = found
    assert old.rstrip().endswith(b'"m"')
    assert new.endswith(b'"acme"')
    assert json.loads(new + data[len(old) :])["provider"] == "acme"


def test_what_comes_behind_the_mark_has_no_beginning() -> None:
    data = b'{"id":"x","choices":[],"model":"m"}'
    fields = raws.decode_object(data)

    assert beginning(data, fields, {"model": b"1"}, after="model", before="choices") is None
