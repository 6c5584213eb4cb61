"""An upstream's answer while it comes: its head, and a body that is read by pieces.

A connection fills it, the walk empties it; one reader at a time. What has come and is not yet read
is bounded: above `UNREAD_MAX` the connection stops reading, so a slow client slows the provider.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.transport.failures import AttemptFailed, failed

ANSWER_BYTES_MAX = 64 * 1024 * 1024
UNREAD_MAX = 64 * 1024
# What one read gives at most. The walk holds several forms of it while a slow client takes it:
# measured with reads of up to 500 KB (uvloop reads 256 KB at a time), 2.5 MB a client.
READ_MAX = 64 * 1024


class Source(Protocol):
    """Where the body comes from, as long as more of it is to come."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class Upstream:
    """An answer that has begun: status, headers, and a body to be read by pieces."""

    __slots__ = (
        "_fault",
        "_headers",
        "_is_encoded",
        "_is_paused",
        "_loop",
        "_pieces",
        "_source",
        "_take",
        "_unread",
        "_waiter",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source) -> None:
        self.status = 0  # until the head is there
        self._headers: dict[bytes, bytes] = {}
        self._is_encoded = False
        self._loop = loop
        self._source: Source | None = source  # None: nothing more will come
        self._fault: AttemptFailed | None = None
        self._pieces: list[bytes] = []
        self._unread = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None

    # What the walk reads.
    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case; of several of one name the last."""
        return {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers.items()
        }

    @property
    def content_type(self) -> str:
        return self._headers.get(b"content-type", b"").decode("latin-1")

    @property
    def request_id(self) -> str:
        headers = self._headers
        value = headers.get(b"x-request-id") or headers.get(b"request-id") or b""
        return value.decode("latin-1")

    async def read(self) -> bytes:
        """Whatever has come, at least one byte; b"" at a proper end.

        Raises: AttemptFailed where the connection broke (once what came before it is read), or
        where the body is compressed, which nobody asked for.
        """
        if self._is_encoded:
            raise failed(
                "server", "The provider sent a compressed answer, which was not asked for."
            )
        while not self._pieces:
            if self._fault is not None:
                raise self._fault
            if self._source is None:
                return b""
            await self.wait()
        return self._taken()

    async def pass_on(self, take: Callable[[bytes], bool]) -> None:
        """Give what comes to `take`, in the turn in which it comes, for as long as it says so.

        Returns where it says no, or at the body's end or break, which `read` tells; what came last
        is then still to be read. A read that has to wake its task costs as much as all that the
        walk does with an event. `take` must not raise: it is called in the connection's own turn.
        """
        if self._pieces or self._source is None:
            return
        self._take = take
        try:
            await self.wait()
        finally:
            self._take = None

    def _taken(self) -> bytes:
        """What has come, READ_MAX bytes at most."""
        if self._unread > READ_MAX:
            return self._some()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._unread = 0
        if self._is_paused:
            self._is_paused = False
            if self._source is not None:
                self._source.resume()
        return data

    def _some(self) -> bytes:
        """The first `READ_MAX` bytes of more; the connection waits until all of it is read."""
        count = size = 0
        for piece in self._pieces:
            size += len(piece)
            count += 1
            if size >= READ_MAX:
                break
        data = b"".join(self._pieces[:count])
        self._pieces[:count] = [data[READ_MAX:]] if size > READ_MAX else []
        data = data[:READ_MAX]
        self._unread -= len(data)
        return data

    async def read_all(
        self, limit: int = ANSWER_BYTES_MAX, *, progress: Callable[[], None] | None = None
    ) -> bytes:
        """The whole body; `progress` is called before each read that has to wait.

        Raises: AttemptFailed where it is cut short or longer than `limit` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while True:
            if progress is not None and self._source is not None:
                progress()
            piece = await self.read()
            if not piece:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            size += len(piece)
            if size > limit:
                raise failed("server", f"The answer is longer than {limit} bytes.")
            pieces.append(piece)

    def close(self) -> None:
        """Hang up, unless the answer has ended: then its connection is back in the pool."""
        source, self._source = self._source, None
        if source is not None:
            source.abort()
        self._pieces = []
        self._unread = 0

    # What the connection tells.
    def begin(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self._headers = headers
        encoding = headers.get(b"content-encoding")
        self._is_encoded = encoding is not None and encoding.lower() not in (b"", b"identity")

    def add(self, piece: bytes) -> None:
        if self._source is None:
            return  # hung up: nobody will read it
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > UNREAD_MAX and not self._is_paused:
            self._is_paused = True
            self._source.pause()

    def end(self, fault: AttemptFailed | None = None) -> None:
        """Nothing more comes: the body is whole, or `fault` says why not."""
        self._source = None
        self._fault = fault
        self.wake()

    @property
    def fault(self) -> AttemptFailed | None:
        return self._fault

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    async def wait(self) -> None:
        """Until something has happened."""
        waiter = self._waiter = self._loop.create_future()
        await waiter

    def wake(self) -> None:
        waiter = self._waiter
        take = self._take
        if take is not None and self._pieces and self._source is not None:
            while self._pieces:
                if not take(self._taken()):
                    self._take = None
                    break
            else:
                return
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
