"""The bounded queue between the walk and the client."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway import outlet
from gateway.outlet import Channel


def test_everything_queued_goes_out_in_one_write() -> None:
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    async def run() -> None:
        channel = Channel()
        await channel.head(200, [(b"a", b"b")])
        await channel.write(b"one ")
        await channel.write(b"two ")
        await channel.end(b"three")
        await channel.deliver(send)

    asyncio.run(run())

    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
        {"type": "http.response.body", "body": b"one two three", "more_body": False},
    ]


def test_a_slow_reader_holds_the_writer_back() -> None:
    async def run() -> tuple[int, int]:
        channel = Channel()
        written = 0

        async def writer() -> None:
            nonlocal written
            for _ in range(1000):
                await channel.write(b"x" * 10_000)
                written += 1
            await channel.end()

        async def send(message: Mapping[str, Any]) -> None:
            await asyncio.sleep(0)

        task = asyncio.create_task(writer())
        await asyncio.sleep(0.05)
        while_nobody_reads = written
        await channel.deliver(send)
        await task
        return while_nobody_reads, written

    while_nobody_reads, written = asyncio.run(run())

    assert while_nobody_reads * 10_000 <= outlet.QUEUE_BYTES_MAX
    assert written == 1000


def test_a_reader_that_left_never_holds_the_writer_back() -> None:
    async def run() -> int:
        channel = Channel()
        task = asyncio.create_task(_write_much(channel))
        await asyncio.sleep(0.01)
        channel.abandon()
        return await asyncio.wait_for(task, 1)

    assert asyncio.run(run()) == 1000


async def _write_much(channel: Channel) -> int:
    for _ in range(1000):
        await channel.write(b"x" * 10_000)
    return 1000
