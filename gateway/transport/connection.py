"""One connection to an upstream: a request out, its answer in, and again while both sides keep it.

The machine between asyncio's callbacks and llhttp's. It knows nothing of addresses (`dial`), of
who waits (`answer`) or of what may be used again by whom (`pool`). llhttp is strict: what is no
HTTP/1.1 ends the connection and the answer with it.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from gateway.transport.answer import Upstream
from gateway.transport.failures import AttemptFailed, broken, failed

HEADERS_MAX = 200
HEAD_BYTES_MAX = 64 * 1024
# Informational answers (100, 103) before the real one.
INFORMATIONAL_MAX = 16
# A larger body goes out piece by piece, each when the one before has left our buffer.
WRITE_BYTES = 256 * 1024
# A kept connection that is found closed is found so within a round trip. Later than this, in
# seconds, the provider had the request and may have begun to work on it.
STALE_S = 3.0

GARBLED = "The provider sent something that is not HTTP."
HEAD_TOO_LONG = "The head of the provider's answer is too long."


class Stale(Exception):
    """A kept connection was closed by the other side before a byte of the answer came."""


class Connection(asyncio.Protocol):
    """See above.

    `release` is told when an answer is complete and the connection may carry another request,
    `forget` when it is lost while nobody uses it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        release: Callable[["Connection"], None],
        forget: Callable[["Connection"], None],
    ) -> None:
        self.opened_at = self.idle_since = loop.time()
        self._loop = loop
        self._release = release
        self._forget = forget
        self._transport: asyncio.Transport | None = None  # None: not yet, or no more
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Upstream | None = None  # that is under way
        self._served = 0
        self._is_full = False  # the transport's buffer: write no more for now
        self._fresh()

    def _fresh(self) -> None:
        """Before each answer."""
        self._headers: dict[bytes, bytes] = {}
        self._header_count = 0
        self._head_bytes = 0
        self._barren_bytes = 0  # read since the last that made an answer longer
        self._informational = 0
        self._has_byte = False
        self._has_head = False
        self._is_complete = False
        self._until_close = False
        self._keeps = False  # whether the other side keeps the connection
        self._surplus = False  # something came behind the answer
        self._unsent = False  # the answer was there before the request had gone out
        self._fault: AttemptFailed | None = None

    # The request.
    async def ask(self, head: bytes, body: bytes) -> Upstream:
        """Send a request; its answer as soon as the head is there.

        Raises: Stale where it may be sent again, AttemptFailed.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Stale
        self._fresh()
        answer = self._answer = Upstream(self._loop, self)
        reused = self._served > 0
        self._served += 1
        since = self._loop.time()
        try:
            if len(body) <= WRITE_BYTES:
                transport.write(head + body)
            else:
                transport.write(head)
                await self._write(transport, answer, body)
            while not answer.status and answer.fault is None:
                await answer.wait()
        except BaseException:
            answer.close()
            raise
        if answer.fault is None or answer.status:
            return answer
        if reused and not self._has_byte and self._loop.time() - since < STALE_S:
            raise Stale
        raise answer.fault

    async def _write(self, transport: asyncio.Transport, answer: Upstream, body: bytes) -> None:
        """A large body, no faster than the other side takes it; stops where the answer is there."""
        view = memoryview(body)
        for start in range(0, len(body), WRITE_BYTES):
            while self._is_full and not answer.status and answer.fault is None:
                await answer.wait()
            if answer.status or answer.fault is not None:
                self._unsent = True
                return
            transport.write(view[start : start + WRITE_BYTES])

    # The transport's callbacks.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's is one by what it does: uvloop's does not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.abort()  # nobody asked
            return
        self._has_byte = True
        self._barren_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._is_complete:
                self._fault = self._fault or failed("server", GARBLED)
            self._surplus = True
        if self._barren_bytes > HEAD_BYTES_MAX:
            self._fault = self._fault or failed("server", HEAD_TOO_LONG)
        if self._fault is not None:
            self._give_up(answer, self._fault)
        elif self._is_complete:
            self._finish(answer)
        else:
            answer.wake()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._answer is not None:
            self._answer.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is None:
            self._forget(self)
        elif self._until_close and error is None:
            answer.end()  # such a body ends with its connection
        else:
            answer.end(broken())

    # The parser's callbacks: attributes only, the rest in `data_received`.
    def on_message_begin(self) -> None:
        if self._is_complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if not self._has_head:  # a trailer is counted, and never believed
            self._headers[name.lower()] = value
        if self._header_count > HEADERS_MAX or self._head_bytes > HEAD_BYTES_MAX:
            self._fault = self._fault or failed("server", HEAD_TOO_LONG)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._is_complete or self._fault is not None or self._answer is None:
            return
        if status < 200:
            self._informational += 1
            if status == 101 or self._informational > INFORMATIONAL_MAX:
                self._fault = failed("server", GARBLED)
            return
        headers = self._headers
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._fault = failed("server", GARBLED)
            return
        self._has_head = True
        self._barren_bytes = 0
        self._keeps = self._parser.should_keep_alive()
        self._until_close = coding is None and b"content-length" not in headers
        self._answer.begin(status, headers)

    def on_body(self, piece: bytes) -> None:
        if self._answer is not None and self._fault is None and not self._is_complete:
            self._barren_bytes = 0
            self._answer.add(piece)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_complete = True
        else:  # an informational one; the answer is still to come
            self._headers = {}

    # The end of an answer.
    def _finish(self, answer: Upstream) -> None:
        transport = self._transport
        self._answer = None
        if answer.is_paused:
            self.resume()
        if (
            not self._keeps
            or self._surplus
            or self._unsent
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
        ):
            self.abort()
        else:
            self.idle_since = self._loop.time()
            self._release(self)
        answer.end()

    def _give_up(self, answer: Upstream, fault: AttemptFailed) -> None:
        self.abort()
        answer.end(fault)

    # What an answer and the pool ask for.
    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """At once, whatever is still to be sent or read."""
        self._answer = None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        """Of an idle one: with TLS's own farewell."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
