"""Fields of a JSON object replaced or added by their place in the bytes; all else stays as it came.

Places come from a real parse of the object's top level, checked against the bytes. Where they do
not agree (a key twice, a key written with escapes) the top level is written anew, its values still
byte for byte.
"""

import re
from collections.abc import Container, Mapping
from typing import NamedTuple

from gateway.protocols.shared import raws

_BLANKS = rb"[ \t\r\n]*"
_KEY = rb'("[^"\\]*(?:\\.[^"\\]*)*")'
# What stands before a value: the object's beginning or a comma, and the key.
_key = re.compile(_BLANKS + rb"([{,])" + _BLANKS + _KEY + _BLANKS + b":" + _BLANKS).match
_end = re.compile(_BLANKS + rb"\}").match


class Span(NamedTuple):
    """Where a field stands: the opening quote of its key, and where its value begins and ends."""

    key: int
    value: int
    end: int


def spans(data: bytes, fields: Mapping[str, raws.Raw]) -> dict[str, Span] | None:
    """The places of the top-level fields, which `raws.decode_object` read; None where unsure."""
    found: dict[str, Span] = {}
    mark = b"{"
    end = 0
    for name, value in fields.items():
        # One search a field: a loop over its blanks took five times as long (measured, 1 KB).
        key = _key(data, end)
        if key is None or key[1] != mark or key[2] != raws.encode(name):
            return None
        raw = bytes(value)
        start = key.end()
        if not data.startswith(raw, start):
            return None
        end = start + len(raw)
        found[name] = Span(key.start(2), start, end)
        mark = b","
    # All of the object must have been walked: else a key stood there twice.
    return found if _end(data, end) or not fields else None


def splice(
    data: bytes, fields: Mapping[str, raws.Raw], changes: Mapping[str, bytes], *, after: str = ""
) -> bytes:
    """`data` with the given top-level fields set: in place where they stand, else behind `after`.

    Where `after` is not there they come first. `fields` are those that `raws.decode_object` read.
    """
    # Most vendors write no blank: then writing the top level anew is the same as an edit of the
    # bytes, and several times faster.
    if raws.encode(fields) == data:
        return _rewritten(fields, changes, after)
    edited = _evenly(data, fields, changes, after)
    if edited is not None:
        return edited
    places = spans(data, fields)
    if places is None:
        return _rewritten(fields, changes, after)
    edits = [
        (places[name].value, places[name].end, new)
        for name, new in changes.items()
        if name in places
    ]
    added = _added(places, changes)
    if added:
        edits.append(_insertion(data, places, added, after))
    pieces = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += [data[at:start], new]
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


class _Even(NamedTuple):
    """An object whose blanks are alike between all fields, as a program writes them."""

    begin: bytes  # up to the first key
    colon: bytes
    comma: bytes
    written: list[bytes]  # the fields

    def join(self) -> bytes:
        return self.begin + self.comma.join(self.written)


def _even(data: bytes, fields: Mapping[str, raws.Raw]) -> _Even | None:
    """The fields joined by those blanks are the bytes, and nothing is searched.

    That takes a third of the time of `spans`. None where the blanks are not alike.
    """
    if not fields:
        return None
    # Without blanks, or as Python writes it by default: nothing is to be looked for.
    blank = b" " if data[data.find(b'":') + 2 :][:1] == b" " else b""
    colon, comma = b":" + blank, b"," + blank
    written = [raws.encode(name) + colon + bytes(value) for name, value in fields.items()]
    even = _Even(b"{", colon, comma, written)
    if data.startswith(even.join()):
        return even
    first = _key(data)
    if first is None or first.start() or first[1] != b"{":
        return None
    begin, colon = data[: first.start(2)], data[first.end(2) : first.end()]
    written = [raws.encode(name) + colon + bytes(value) for name, value in fields.items()]
    second = _key(data, len(begin) + len(written[0]))
    comma = b"," if second is None else data[second.start() : second.start(2)]
    even = _Even(begin, colon, comma, written)
    return even if data.startswith(even.join()) else None


def _evenly(
    data: bytes, fields: Mapping[str, raws.Raw], changes: Mapping[str, bytes], after: str
) -> bytes | None:
    """The same edit where the blanks are alike; None where they are not."""
    even = _even(data, fields)
    if even is None:
        return None
    size = len(even.join())
    if _end(data, size) is None:
        return None
    changed = _changed(even, fields, changes, after)
    return changed.join() + data[size:]


def beginning(
    data: bytes,
    fields: Mapping[str, raws.Raw],
    changes: Mapping[str, bytes],
    *,
    after: str,
    before: str,
) -> tuple[bytes, bytes] | None:
    """The bytes up to the last field that `splice` would set, as they are and as they become.

    None where they are not easily told, or that is not before the field `before`.
    """
    names = list(fields)
    if after not in fields or before not in fields:
        return None
    count = 1 + max(names.index(name) for name in (after, *changes) if name in fields)
    if names.index(before) < count or (even := _even(data, fields)) is None:
        return None
    changed = _changed(even, fields, changes, after)
    old, new = even.written[:count], changed.written[:count]
    return even.begin + even.comma.join(old), changed.begin + changed.comma.join(new)


def _changed(
    even: _Even, fields: Mapping[str, raws.Raw], changes: Mapping[str, bytes], after: str
) -> _Even:
    begin, written = even.begin, list(even.written)
    added = _added(fields, changes)
    for at, name in enumerate(fields):
        new = changes.get(name)
        if new is not None:
            written[at] = raws.encode(name) + even.colon + new
        if name == after:
            written[at] = b",".join([written[at], *added])
    if added and after not in fields:
        at = begin.find(b"{") + 1
        begin = begin[:at] + b",".join(added) + b"," + begin[at:]
    return even._replace(begin=begin, written=written)


def _added(fields: Container[str], changes: Mapping[str, bytes]) -> list[bytes]:
    return [raws.encode(name) + b":" + new for name, new in changes.items() if name not in fields]


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
