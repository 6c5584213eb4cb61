"""Fields of a JSON object replaced or added by their place in the bytes; all else stays as it came.

Places come from a real parse of the object's top level, checked against the bytes. Where they do
not agree (a key twice, a key written with escapes) the top level is written anew, its values still
byte for byte.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.protocols.shared import raws

_SPACE = b" \t\r\n"
_QUOTE = ord('"')
_COLON = ord(":")
_COMMA = ord(",")


class Span(NamedTuple):
    """Where a field stands: the opening quote of its key, and where its value begins and ends."""

    key: int
    value: int
    end: int


def spans(data: bytes, fields: Mapping[str, raws.Raw]) -> dict[str, Span] | None:
    """The places of the top-level fields, which `raws.decode_object` read; None where unsure."""
    found: dict[str, Span] = {}
    at = _skip(data, data.find(b"{") + 1)
    for name, value in fields.items():
        key = raws.encode(name)
        colon = _skip(data, at + len(key))
        if not data.startswith(key, at) or colon >= len(data) or data[colon] != _COLON:
            return None
        start = _skip(data, colon + 1)
        raw = bytes(value)
        if not data.startswith(raw, start):
            return None
        end = start + len(raw)
        found[name] = Span(at, start, end)
        at = _skip(data, end)
        if at < len(data) and data[at] == _COMMA:
            at = _skip(data, at + 1)
    # All of the object must have been walked: else a key stood there twice.
    return found if data[at : at + 1] == b"}" else None


def splice(
    data: bytes, fields: Mapping[str, raws.Raw], changes: Mapping[str, bytes], *, after: str = ""
) -> bytes:
    """`data` with the given top-level fields set: in place where they stand, else behind `after`.

    Where `after` is not there they come first. `fields` are those that `raws.decode_object` read.
    """
    # Most vendors write no blank: then writing the top level anew is the same as an edit of the
    # bytes, and several times faster.
    places = None if raws.encode(fields) == data else spans(data, fields)
    if places is None:
        return _rewritten(fields, changes, after)
    edits = [
        (places[name].value, places[name].end, new)
        for name, new in changes.items()
        if name in places
    ]
    added = [raws.encode(name) + b":" + new for name, new in changes.items() if name not in places]
    if added:
        edits.append(_insertion(data, places, added, after))
    pieces = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += [data[at:start], new]
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


def _insertion(
    data: bytes, places: Mapping[str, Span], added: list[bytes], after: str
) -> tuple[int, int, bytes]:
    text = b",".join(added)
    if after in places:
        at = places[after].end
        # Behind an edit of the same field: the empty span sorts after the value's own.
        return at, at, b"," + text
    at = data.find(b"{") + 1
    return at, at, text + b"," if places else text


def _rewritten(fields: Mapping[str, raws.Raw], changes: Mapping[str, bytes], after: str) -> bytes:
    added = {name: raws.Raw(new) for name, new in changes.items() if name not in fields}
    written: raws.Object = {} if after in fields else dict(added)
    for name, value in fields.items():
        new = changes.get(name)
        written[name] = value if new is None else raws.Raw(new)
        if name == after:
            written.update(added)
    return raws.encode(written)


def _skip(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in _SPACE:
        at += 1
    return at
