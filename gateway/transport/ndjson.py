r"""Newline-delimited JSON: an upstream's bytes, cut anywhere → one frame a line.

Lines end with `\n` or `\r\n`; empty lines are no frames. What came stays in `Frame.raw`, so that
the direct path can pass it on untouched. A line beyond `sse.FRAME_BYTES_MAX` is an error, not a
memory problem.

Source: the NDJSON specification 1.0.0; Ollama API reference, "Streaming responses".
"""

from gateway.protocols.base import Frame, GarbledStream
from gateway.transport.sse import FRAME_BYTES_MAX


class NDJSONParser:
    """Feed it reads, take frames. `rest` is what has come of an unfinished line."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Raises: GarbledStream where one line is longer than FRAME_BYTES_MAX."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > FRAME_BYTES_MAX:
            raise GarbledStream(f"A line is longer than {FRAME_BYTES_MAX} bytes.")
        return [Frame(line + b"\n", line.strip()) for line in lines if line.strip()]
