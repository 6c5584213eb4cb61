"""The bench's load generator: connections that ask again as soon as they are answered.

`python -m gateway.bench.load`: a `Load` comes in as JSON, a `Result` goes out. It reads the CPU
time of the processes it is given at both ends of its window, so that figures and work are of the
same moments. A reply counts when its status is 200 and, for a stream, its end marker arrived.
"""

import asyncio
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop

from gateway.bench import cpu

TIMEOUT_S = 30.0  # beyond the window, for what is under way
MARKERS = (b"[DONE]", b"message_stop")


class Load(msgspec.Struct, kw_only=True):
    """One run. `watched`: process ids by name, descendants included."""

    url: str
    headers: dict[str, str]
    body: bytes
    is_stream: bool
    connections: int
    seconds: float
    warm_s: float
    ramp_s: float = 0.0  # over which the connections begin
    watched: dict[str, list[int]] = {}


class Result(msgspec.Struct, kw_only=True):
    """Of the window. Times in ms; `cpu_s` and `memory_mb` by the name of what was watched."""

    answered: int
    failed: int
    events: int
    seconds: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    gap_p99_ms: float  # between two pieces of a stream
    cpu_s: dict[str, float]
    memory_mb: dict[str, float]
    error: str = ""  # one of those that failed


class Window:
    """What is counted between two instants, and nothing outside of them."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.is_open = False
        self.over = False
        self.answered = self.failed = self.events = 0
        self.error = ""
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.gaps: list[float] = []
        self.cpu: dict[str, float] = {}

    # Who is to be watched is found out outside of the window, so that what is read at its ends, and
    # what is counted between them, are of the same moments.
    def open(self) -> None:
        self.cpu = _read(self._families())
        self.is_open = True
        # From here, not from the beginning: who opens late, on a busy machine, closes as late.
        asyncio.get_running_loop().call_later(self.load.seconds, self.close)

    def close(self) -> None:
        families = self._families()
        self.is_open = False
        self.over = True
        self.cpu = {name: value - self.cpu[name] for name, value in _read(families).items()}

    def _families(self) -> dict[str, set[int]]:
        return {name: cpu.family(pids) for name, pids in self.load.watched.items()}

    def fail(self, error: str) -> None:
        if self.is_open:
            self.failed += 1
            self.error = self.error or error


def _read(families: dict[str, set[int]]) -> dict[str, float]:
    return {name: cpu.seconds(pids) for name, pids in families.items()}


class Connection(asyncio.Protocol):
    """Asks, reads, counts, and asks again.

    By perf_counter: uvloop's own clock knows whole milliseconds only.
    """

    def __init__(self, window: Window, request: bytes) -> None:
        self._window = window
        self._request = request
        self._is_stream = window.load.is_stream
        self._asked_at = self._first_at = self._piece_at = 0.0
        self._under_way = False
        self._before = self._last = b""
        self._transport: asyncio.Transport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    # What asyncio calls.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # TCP gives no other, though uvloop's own class is not derived from it.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._under_way and not self._window.over:
            self._window.fail(f"the connection broke: {error}")
        if not self.ended.done():
            self.ended.set_result(None)

    # What the parser calls.
    def on_body(self, body: bytes) -> None:
        window, now = self._window, time.perf_counter()
        if not self._first_at:
            self._first_at = now
            if window.is_open:
                window.firsts.append(now - self._asked_at)
        elif window.is_open:
            window.gaps.append(now - self._piece_at)
        self._piece_at = now
        if self._is_stream and window.is_open:
            # With the end of the last piece, which is shorter than what is looked for.
            window.events += (self._last[-4:] + body).count(b"data:")
        self._before, self._last = self._last, body

    def on_message_complete(self) -> None:
        self._under_way = False
        window, now = self._window, time.perf_counter()
        status = self._parser.get_status_code()
        end = self._before[-40:] + self._last
        if status != 200:
            window.fail(f"status {status}: {end[:300].decode(errors='replace')}")
        elif self._is_stream and not any(marker in end for marker in MARKERS):
            window.fail(f"a stream without its end marker: …{end[-200:].decode(errors='replace')}")
        elif window.is_open:
            window.answered += 1
            window.latencies.append(now - self._asked_at)
        if window.over or not self._parser.should_keep_alive():
            assert self._transport is not None  # noqa: S101 - an answer came over it
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        assert self._transport is not None  # noqa: S101 - called once connected
        self._parser = httptools.HttpResponseParser(self)
        self._first_at = 0.0
        self._before = self._last = b""
        self._under_way = True
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)


async def run(load: Load) -> Result:
    """Carry one load out."""
    loop, window = asyncio.get_running_loop(), Window(load)
    parts = urlsplit(load.url)
    request = _request(load)
    loop.call_later(load.warm_s, window.open)

    async def go_on(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while not window.over:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(window, request),
                    parts.hostname or "127.0.0.1",
                    parts.port or 80,
                )
            except OSError as error:
                window.fail(f"no connection: {error}")
                await asyncio.sleep(0.1)
            else:
                await connection.ended

    going = [
        asyncio.ensure_future(go_on(load.ramp_s * number / load.connections))
        for number in range(load.connections)
    ]
    await asyncio.sleep(load.warm_s + load.seconds)
    memory = {name: cpu.memory_mb(pids) for name, pids in load.watched.items()}
    await asyncio.wait(going, timeout=TIMEOUT_S)
    return Result(
        answered=window.answered,
        failed=window.failed,
        events=window.events,
        seconds=load.seconds,
        p50_ms=_quantile(window.latencies, 0.5),
        p99_ms=_quantile(window.latencies, 0.99),
        first_p50_ms=_quantile(window.firsts, 0.5),
        gap_p99_ms=_quantile(window.gaps, 0.99),
        cpu_s=window.cpu,
        memory_mb=memory,
        error=window.error,
    )


def _request(load: Load) -> bytes:
    parts = urlsplit(load.url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}"]
    lines.append(f"content-length: {len(load.body)}")
    lines += [f"{name}: {value}" for name, value in load.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + load.body


def _quantile(values: list[float], share: float) -> float:
    """In ms; 0 where nothing was measured."""
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] * 1000 if ordered else 0.0


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(run(wanted))))
