"""One piece of work as the process sees it that wants it: its limits, its talk, its ends.

Bytes come back, or `NotDone` says why they do not. What is said on the socket is `wire`'s.
"""

import asyncio
import json
import socket
from typing import Literal, NamedTuple

import msgspec

from ccapi.core import clock
from ccapi.core.confined import wire
from ccapi.core.confined.handle import Handle, KeeperGone

BEGIN_S = 20.0  # a keeper's start included
GRACE_S = 2.0  # beyond a piece's time, which its keeper ends: then that one is ended
REAPED_S = 0.05  # a keeper's cells end a moment before it can be seen that it has
NAME_BYTES_MAX = 64

Reason = Literal["refused", "memory", "time", "died", "failed"]
_REASONS: dict[bytes, Reason] = {
    wire.REFUSED: "refused",
    wire.MEMORY: "memory",
    wire.FAILED: "failed",
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece may take. Memory is beyond the bytes it is given (three times over)."""

    seconds: float
    memory_bytes: int
    answer_bytes: int


class Piece(NamedTuple):
    function: str
    arguments: dict[str, str]
    data: bytes
    limits: Limits

    @property
    def memory_bytes(self) -> int:
        return self.limits.memory_bytes + 3 * len(self.data)

    def head(self) -> bytes:
        """The request but for its data."""
        said = json.dumps([self.function, self.arguments]).encode()
        return wire.REQUEST.pack(len(said), len(self.data)) + said


class NotDone(Exception):
    """It was refused by the work itself, for which `word` tells why; or it was ended or died."""

    def __init__(self, reason: Reason, word: str = "") -> None:
        super().__init__(f"{reason} {word}".strip())
        self.reason: Reason = reason
        self.word = word


async def done(piece: Piece, keeper: Handle) -> bytes:
    """What the work makes of it.

    Raises: NotDone; KeeperGone, with NotDone as its cause where the piece may be why; OSError where
    no cell could be asked for.
    """
    since = clock.monotonic()
    limits = piece.limits
    number, job = keeper.start(seconds=limits.seconds, memory_bytes=piece.memory_bytes)
    try:
        await _begun(job)
        async with asyncio.timeout(limits.seconds + GRACE_S):
            return await _answered(piece, job)
    except TimeoutError:
        raise KeeperGone("It does not end what takes too long.") from NotDone("time")
    except (EOFError, ConnectionError):
        if clock.monotonic() - since >= limits.seconds:
            raise NotDone("time") from None
        await asyncio.sleep(REAPED_S)
        if keeper.is_alive:
            raise NotDone("died") from None
        raise KeeperGone("It has died.") from NotDone("died")
    finally:
        keeper.stop(number)
        job.close()


async def _begun(job: socket.socket) -> None:
    """Raises: KeeperGone."""
    try:
        async with asyncio.timeout(BEGIN_S):
            said = await asyncio.get_running_loop().sock_recv(job, len(wire.BEGUN))
    except (TimeoutError, ConnectionError):
        said = b""
    if said != wire.BEGUN:
        raise KeeperGone("It begins nothing.")


async def _answered(piece: Piece, job: socket.socket) -> bytes:
    """Raises: NotDone, EOFError, ConnectionError."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(job, piece.head())
    if piece.data:  # who has been told everything may be done and gone
        await loop.sock_sendall(job, piece.data)
    how, size = wire.ANSWER.unpack(await _received(job, wire.ANSWER.size))
    if size > (piece.limits.answer_bytes if how == wire.DONE else NAME_BYTES_MAX):
        raise NotDone("memory", "answer")
    answer = await _received(job, size)
    if how == wire.DONE:
        return answer
    raise NotDone(_REASONS.get(how, "died"), answer.decode("ascii", "replace"))


async def _received(job: socket.socket, size: int) -> bytes:
    """Exactly so many bytes. Raises: EOFError, ConnectionError."""
    loop = asyncio.get_running_loop()
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = await loop.sock_recv_into(job, view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(data)
