"""What a process, its keeper and their cells say to each other: records and lengths, no pickle.

To the keeper: records of one size; with a start comes the cell's end of a socket. On that socket
the cell says that it has begun, is told a request, and answers once.
"""

import socket
import struct

# What a keeper is told: a verb, a number for the piece, its seconds, its bytes of memory.
RECORD = struct.Struct(">BQdQ")
START, STOP = 1, 2

BEGUN = b"b"
REQUEST = struct.Struct(">IQ")  # bytes of JSON: [function, arguments]; bytes of data
ANSWER = struct.Struct(">cQ")  # how it went; bytes of data, of a refusal's or an error's name
DONE, REFUSED, MEMORY, FAILED = b"+", b"-", b"m", b"!"


class Refused(Exception):
    """Raised by the work itself: these bytes are not what they should be. The word says why."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def received(source: socket.socket, size: int) -> bytes:
    """Exactly so many bytes. Raises: EOFError."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = source.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(data)
