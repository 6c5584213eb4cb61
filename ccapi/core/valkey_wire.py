"""One connection to Valkey: questions in one write, answers in their order.

Nothing is retried or timed here, and nothing reconnects: that is `valkey_line`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

Word = bytes | str | int | float


class Away(ConnectionError):
    """Valkey is not there, too slow, or will not do what it is asked. One of `valkey.AWAY`."""


class Call:
    """One question. `future` is None where nobody waits for the answer."""

    __slots__ = ("future", "since", "words")

    def __init__(
        self, words: tuple[Word, ...], future: "asyncio.Future[Any] | None", since: float
    ) -> None:
        self.words = words
        self.future = future
        self.since = since  # the event loop's clock

    def answer(self, value: object) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(value)

    def fail(self, error: Exception) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)


# Its stub knows commands of one word only.
_pack = cast(Callable[[tuple[Word, ...]], bytes], hiredis.pack_command)


class Wire(asyncio.Protocol):
    """A connection. `refused` hears of error answers, `lost` of its end (once)."""

    def __init__(
        self, refused: Callable[[Call, str], None], lost: Callable[["Wire", Exception], None]
    ) -> None:
        self.unanswered: deque[Call] = deque()
        self._refused = refused
        self._lost = lost
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    def send(self, calls: list[Call]) -> None:
        self.unanswered.extend(calls)
        if self._transport is not None:
            self._transport.write(b"".join([_pack(call.words) for call in calls]))

    def close(self, error: Exception) -> None:
        """Hang up; whoever waits is told."""
        calls, self.unanswered = self.unanswered, deque()
        for call in calls:
            call.fail(error)
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream's: it reads and writes

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return  # given up, with bytes still on their way
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                call = self.unanswered.popleft()
                if isinstance(answer, hiredis.ReplyError):
                    self._refused(call, str(answer))
                else:
                    call.answer(answer)
        except hiredis.ProtocolError as error:
            self.connection_lost(error)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            reason = Away(str(error) if error else "Valkey hung up.")
            self.close(reason)
            self._lost(self, reason)


async def dial(url: str, wire: Wire, *commands: tuple[Word, ...]) -> None:
    """Connect, log in and give these commands; returns when all are done. Raises: OSError."""
    loop = asyncio.get_running_loop()
    where: dict[str, Any] = dict(parse_url(url))
    kind = where.pop("connection_class", None)
    if path := where.get("path"):
        await loop.create_unix_connection(lambda: wire, path)
    else:
        host, port = where.get("host", "localhost"), where.get("port", 6379)
        context = SSLConnection(**where).ssl_context.get() if kind is SSLConnection else None
        await loop.create_connection(lambda: wire, host, port, ssl=context)
    greetings: list[tuple[Word, ...]] = []
    if password := where.get("password"):
        user = where.get("username")
        greetings.append(("AUTH", user, password) if user else ("AUTH", password))
    if database := where.get("db"):
        greetings.append(("SELECT", int(database)))
    greetings += [*commands, ("PING",)]
    calls = [Call(words, loop.create_future(), loop.time()) for words in greetings]
    wire.send(calls)
    await asyncio.gather(*(call.future for call in calls if call.future is not None))
