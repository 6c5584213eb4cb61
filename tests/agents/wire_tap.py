"""A tap between an agent and the gateway: bytes pass untouched, and what passed is kept."""

import asyncio
import contextlib
import threading
from types import TracebackType

from tests.fakes.upstream import Recorded, read_request


class Tap:
    """Listens on loopback, in a thread; `requests` and `answered` are what passed so far."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._asked: list[bytearray] = []
        self._told: list[bytearray] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tap", daemon=True)
        self.url = ""

    def __enter__(self) -> "Tap":
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self.url = opened.result(timeout=10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _open(self) -> str:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked, told = bytearray(), bytearray()
        self._asked.append(asked)
        self._told.append(told)
        inner, outer = await asyncio.open_connection(*self._to)
        with contextlib.suppress(OSError):
            await asyncio.gather(_pump(reader, outer, asked), _pump(inner, writer, told))

    @property
    def answered(self) -> bytes:
        return b"".join(self._told)

    def requests(self) -> list[Recorded]:
        return asyncio.run(self._parse())

    async def _parse(self) -> list[Recorded]:
        found = []
        for asked in self._asked:
            reader = asyncio.StreamReader(limit=1 << 24)
            reader.feed_data(bytes(asked))
            reader.feed_eof()
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    found.append(await read_request(reader))
        return found


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
) -> None:
    while data := await reader.read(65536):
        kept += data
        writer.write(data)
        await writer.drain()
    writer.close()
