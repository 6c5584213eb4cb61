import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.base import Frame, GarbledStream
from gateway.transport.ndjson import NDJSONParser
from gateway.transport.sse import FRAME_BYTES_MAX

STREAM = b'{"a":1}\n\r\n{"b":"\xc3\xa9"}\r\n\n{"c":3}\n'
FRAMES = [
    Frame(b'{"a":1}\n', b'{"a":1}'),
    Frame(b'{"b":"\xc3\xa9"}\r\n', b'{"b":"\xc3\xa9"}'),
    Frame(b'{"c":3}\n', b'{"c":3}'),
]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_at_any_byte_gives_the_same_lines(cut: int) -> None:
    parser = NDJSONParser()

    frames = parser.feed(STREAM[:cut]) + parser.feed(STREAM[cut:])

    assert frames == FRAMES
    assert parser.rest == b""


def test_a_line_without_its_end_is_no_frame_yet() -> None:
    parser = NDJSONParser()

    assert parser.feed(b'{"done":true}') == []
    assert parser.rest == b'{"done":true}'


def test_an_endless_line_is_an_error() -> None:
    parser = NDJSONParser()

    parser.feed(b"x" * FRAME_BYTES_MAX)

    with pytest.raises(GarbledStream):
        parser.feed(b"x")


@given(st.lists(st.binary(max_size=20)))
def test_any_reads_keep_every_byte_of_every_line(reads: list[bytes]) -> None:
    parser = NDJSONParser()

    frames = [frame for read in reads for frame in parser.feed(read)]

    kept = b"".join(frame.raw for frame in frames) + parser.rest
    whole = b"".join(reads)
    assert [line for line in kept.split(b"\n") if line.strip()] == [
        line for line in whole.split(b"\n") if line.strip()
    ]
