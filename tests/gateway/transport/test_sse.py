"""Frames of Server-Sent Events, cut anywhere and ended in any way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.base import Frame, GarbledStream
from gateway.transport.sse import FRAME_BYTES_MAX, SSEParser

STREAM = (
    b": a comment\n\n"
    b'event: message_start\ndata: {"a": 1}\n\n'
    b'data: {"b": "caf\xc3\xa9"}\n\n'
    b"id: 7\nretry: 10\ndata: one\ndata: two\n\n"
    b"data:nospace\n\n"
    b"data: [DONE]\n\n"
)


def read(pieces: list[bytes]) -> list[Frame]:
    parser = SSEParser()
    return [frame for piece in pieces for frame in parser.feed(piece)]


def meaning(frames: list[Frame]) -> list[tuple[str, bytes]]:
    return [(frame.event, frame.data) for frame in frames]


def test_comments_events_and_several_data_lines_are_read() -> None:
    frames = read([STREAM])

    assert meaning(frames) == [
        ("", b""),
        ("message_start", b'{"a": 1}'),
        ("", b'{"b": "caf\xc3\xa9"}'),
        ("", b"one\ntwo"),
        ("", b"nospace"),
        ("", b"[DONE]"),
    ]


def test_raw_bytes_are_those_that_came() -> None:
    assert b"".join(frame.raw for frame in read([STREAM])) == STREAM


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, len(STREAM) * 2), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_frames(newline: bytes, cuts: list[int]) -> None:
    whole = STREAM.replace(b"\n", newline)
    # A lone `\r\r` at the very end may still become `\r\r\n`: it waits for the next byte.
    whole += b": end"
    edges = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]

    frames = read(pieces)

    assert meaning(frames) == meaning(read([STREAM]))
    assert whole.startswith(b"".join(frame.raw for frame in frames))


def test_a_byte_order_mark_at_the_start_is_no_part_of_a_field() -> None:
    assert meaning(read([b"\xef\xbb\xbfdata: x\n\n"])) == [("", b"x")]


def test_an_unfinished_frame_is_kept_back() -> None:
    parser = SSEParser()

    assert parser.feed(b"data: {") == []
    assert parser.rest == b"data: {"


def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    parser = SSEParser()

    frames = (parser.feed(b"x" * 1000) for _ in range(FRAME_BYTES_MAX // 1000 + 2))
    with pytest.raises(GarbledStream, match="longer than"):
        list(frames)
