r"""Server-Sent Events: an upstream's bytes, cut anywhere → whole frames.

A frame ends with a blank line; lines end with `\\n`, `\\r\\n` or `\\r`. What came stays in
`Frame.raw`, so that the direct path can pass it on untouched. A frame beyond `FRAME_BYTES_MAX` is
an error, not a memory problem.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

import re

from gateway.protocols.base import Frame, GarbledStream

FRAME_BYTES_MAX = 1024 * 1024

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class SSEParser:
    """Feed it reads, take frames. `rest` is what has come of an unfinished frame."""

    def __init__(self) -> None:
        self.rest = b""
        self._fresh = True

    def feed(self, data: bytes) -> list[Frame]:
        """Raises: GarbledStream where one frame is longer than FRAME_BYTES_MAX."""
        if self._fresh:
            self._fresh = False
            data = data.removeprefix(_BOM)
        if self.rest:
            data = self.rest + data
        elif (
            # One whole frame a read, as a stream at a human pace comes.
            data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            return [Frame(data, data[6:-2])]
        if b"\r" in data:
            frames = self._split_any(data)
        else:
            # The form that every vendor sends: `\n` alone.
            blocks = data.split(b"\n\n")
            self.rest = blocks.pop()
            frames = [_frame(block, b"\n\n") for block in blocks if block]
        if len(self.rest) > FRAME_BYTES_MAX:
            raise GarbledStream(f"A frame is longer than {FRAME_BYTES_MAX} bytes.")
        return frames

    def _split_any(self, data: bytes) -> list[Frame]:
        frames = []
        start = 0
        for end in _END.finditer(data):
            # `\r\r` may be the head of `\r\r\n`, cut: wait for the next byte.
            if end.end() == len(data) and end.group() == b"\r\r":
                break
            if end.start() > start:
                frames.append(_frame(data[start : end.start()], end.group()))
            start = end.end()
        self.rest = data[start:]
        return frames


def _frame(block: bytes, end: bytes) -> Frame:
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return Frame(block + end, block[6:])
    event = b""
    data: list[bytes] = []
    for line in _LINE.split(block):
        field, colon, value = line.partition(b":")
        if not field or not colon:
            continue
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value
    return Frame(block + end, b"\n".join(data), event.decode("utf-8", "replace"))
