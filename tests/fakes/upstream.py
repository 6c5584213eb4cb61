"""A fake upstream: a real HTTP server on loopback that replays scripts and records what reached it.

It speaks through a bare socket, so that it can do what a proper server cannot: reset, fall silent,
lie about lengths, leave chunks without an end. In a test it is a thread (`with Upstream() as up`),
reachable from other processes too; as a process of its own (`python -m tests.fakes.upstream`) it
ends with its standard input. `/__requests__` (GET; DELETE forgets them) and `/__scripts__` (POST)
serve those who are not in its process, and are not recorded.
"""

import asyncio
import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from tests.fakes.steps import Close, Reset, Script, Send, Step, Wait, reply

T = TypeVar("T")
_NO_SCRIPT = reply(
    599, b'{"error": {"message": "the fake upstream has no script for this request"}}'
)


class Recorded(msgspec.Struct, frozen=True):
    """One request that reached the upstream. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float  # monotonic seconds

    def json(self) -> Any:  # noqa: ANN401 - a test looks into whatever was sent
        return msgspec.json.decode(self.body)

    @property
    def model(self) -> str | None:
        try:
            value = self.json()
        except msgspec.DecodeError:
            return None
        model = value.get("model") if isinstance(value, dict) else None
        return model if isinstance(model, str) else None


class ScriptsFor(msgspec.Struct, frozen=True):
    """The body of POST /__scripts__. Without a model: for any model that has none of its own."""

    scripts: list[list[Step]]
    model: str | None = None


class Upstream:
    """Scripts are taken in the order given, a request each; the last one stays."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1", port: int = 0) -> None:
        self.requests: list[Recorded] = []
        self.hangups = 0  # clients that left before their script was done
        self._scripts: dict[str | None, list[Script]] = {None: list(scripts)} if scripts else {}
        self._address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    # What a test does.
    def on(self, model: str | None, *scripts: Script) -> "Upstream":
        """Scripts for requests that name this model (None: any other)."""
        self._scripts[model] = list(scripts)
        return self

    def reset(self) -> None:
        """No scripts, no memory."""
        self._scripts.clear()
        self.requests.clear()
        self.hangups = 0

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._open)

    def count(self, model: str | None = None) -> int:
        """Requests so far, of one model or of all."""
        return sum(model is None or request.model == model for request in tuple(self.requests))

    def refuse(self) -> None:
        """Closes the listener and every connection: from now on, connection refused."""
        self._run(self._shut())

    def accept(self) -> None:
        """Listens again, at the same address."""
        self._run(self._listen())

    def wait_until(self, condition: Callable[["Upstream"], bool], timeout_s: float = 5.0) -> None:
        """Raises: TimeoutError where the condition does not come true in time."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s} s")
            time.sleep(0.005)

    def __enter__(self) -> "Upstream":
        self._thread.start()
        try:
            self.accept()
        except OSError:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._end())
        self._stop()

    # What happens in its thread.
    def _run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _listen(self) -> None:
        bound = socket.create_server(self._address, backlog=1024)
        # Made anew from its number, so that it knows its protocol: asyncio sets TCP_NODELAY on no
        # other, and an answer in two writes would take 40 ms.
        listener = socket.socket(fileno=bound.detach())
        self._address = listener.getsockname()[:2]
        self._server = await asyncio.start_server(self._converse, sock=listener)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._shut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                request = await read_request(reader)
                if not await self._perform(self._script_for(request), reader, writer):
                    return
        except (asyncio.IncompleteReadError, OSError):
            return  # the client closed a connection that it kept for more
        finally:
            self._open.discard(writer)
            writer.close()

    def _script_for(self, request: Recorded) -> Script:
        if request.path == "/__requests__":
            return self._tell_requests(request)
        if request.path == "/__scripts__":
            order = msgspec.json.decode(request.body, type=ScriptsFor)
            self.on(order.model, *map(tuple, order.scripts))
            return reply(204)
        self.requests.append(request)
        scripts = self._scripts.get(request.model) or self._scripts.get(None)
        if not scripts:
            return _NO_SCRIPT
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def _tell_requests(self, request: Recorded) -> Script:
        told = reply(200, msgspec.json.encode(self.requests))
        if request.method == "DELETE":
            self.requests.clear()
        return told

    async def _perform(
        self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection may carry another request."""
        try:
            for step in script:
                match step:
                    case Send():
                        writer.write(step.data)
                        await writer.drain()
                    case Wait():
                        if await _left(reader, step.seconds):
                            self.hangups += 1
                            return False
                    case Close():
                        return False
                    case Reset():
                        _reset(writer)
                        return False
        except OSError:
            self.hangups += 1
            return False
        return True


async def read_request(reader: asyncio.StreamReader) -> Recorded:
    """Raises: IncompleteReadError at the end of the connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunked_body(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, body, time.monotonic())


async def _chunked_body(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


async def _left(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Whether the client hangs up within that time.

    Nobody here pipelines: anything read is the end.
    """
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """An address that refuses connections: bound, so that nobody else takes it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host, port = taken.getsockname()
        yield f"http://{host}:{port}"


def main() -> None:
    with Upstream() as upstream:
        sys.stdout.write(upstream.url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
