"""The bench's upstream: answers at once or at a pace, as cheaply as Python can.

`python -m gateway.bench.upstream PORT` says its port (0 takes a free one) and ends with its
standard input.
"""

import asyncio
import random
import socket
import sys
from typing import cast

import httptools
import uvloop

from gateway.bench.wire import ANSWERS, Answers, Asked, asked_in

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection. Nobody pipelines here: a request comes when the last one is answered."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    # What asyncio calls.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # TCP gives no other, though uvloop's own class is not derived from it.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # What the parser calls.
    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url, self._url = self._url, b""
        body, self._body = b"".join(self._body), []
        if url.endswith(b"/chat/completions"):
            self._answer(ANSWERS["openai"], asked_in(body))
        elif url.endswith(b"/messages"):
            self._answer(ANSWERS["anthropic"], asked_in(body))
        else:
            self._transport.write(NOT_FOUND)

    def _answer(self, answers: Answers, asked: Asked) -> None:
        if not asked.events:
            self._transport.write(answers.whole)
        elif not asked.gap_ms:
            stream = answers.opening + answers.event * asked.events + answers.closing
            self._transport.write(stream)
        else:
            self._transport.write(answers.opening + answers.event)
            self._wait(answers, asked.events - 1, asked.gap_ms)

    def _wait(self, answers: Answers, left: int, gap_ms: int) -> None:
        # Not quite even, so that streams do not march in step.
        gap_s = gap_ms / 1000 * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._timer = self._loop.call_later(gap_s, self._next, answers, left, gap_ms)

    def _next(self, answers: Answers, left: int, gap_ms: int) -> None:
        self._timer = None
        if self._transport.is_closing():
            return
        if left > 1:
            self._transport.write(answers.event)
            self._wait(answers, left - 1, gap_ms)
        else:
            self._transport.write(answers.event * left + answers.closing)


async def main(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    await loop.create_server(Upstream, sock=listener)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
