"""The client's side of a stream: slow readers, and those that leave."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ccapi.core.lane import Messages
from gateway.outlet import PIECE_BYTES, Stream, Whole


class Client(Messages):
    """A lane to a client that reads only when told to."""

    def __init__(self) -> None:
        super().__init__(self._receive_nothing, self._take)
        self.got: list[Mapping[str, Any]] = []
        self.reading = asyncio.Event()
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1

    async def _take(self, message: Mapping[str, Any]) -> None:
        await self.reading.wait()
        self.got.append(message)

    async def _receive_nothing(self) -> dict[str, Any]:
        raise AssertionError("nobody asks")


def test_a_slow_reader_holds_the_writer_back() -> None:
    async def run() -> tuple[bool, list[Mapping[str, Any]]]:
        client = Client()
        stream = _stream(client)
        writer = asyncio.create_task(stream.write(b"one"))
        await asyncio.sleep(0.05)
        waited = not writer.done()
        client.reading.set()
        await writer
        await stream.end(b"two")
        return waited, client.got

    waited, got = asyncio.run(run())

    assert waited
    assert [message["body"] for message in got] == [b"one", b"two"]
    assert [message["more_body"] for message in got] == [True, False]


def test_a_reader_that_left_never_holds_the_writer_back() -> None:
    async def run() -> tuple[bool, int]:
        client = Client()
        stream = _stream(client)
        writer = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        stream.abandon()
        finished = await asyncio.wait_for(writer, 1)
        return finished, len(client.got)

    assert asyncio.run(run()) == (True, 0)


def test_a_client_that_takes_nothing_is_given_up_and_hung_up_on_after_its_time() -> None:
    async def run() -> tuple[bool, bool, int]:
        client = Client()

        def give_up() -> None:
            stream.abandon()

        stream = Stream(client, on_stall=give_up, stall_s=0.1)
        finished = await asyncio.wait_for(asyncio.create_task(_write_much(stream)), 1)
        await asyncio.sleep(0)
        return finished, stream.is_closed, client.aborted

    assert asyncio.run(run()) == (True, True, 1)


def test_a_long_whole_answer_goes_out_piece_by_piece() -> None:
    async def run() -> list[Mapping[str, Any]]:
        client = Client()
        client.reading.set()
        whole = Whole(client, stall_s=0.1)
        await whole.end(b"x" * (2 * PIECE_BYTES) + b"end")
        return client.got

    got = asyncio.run(run())

    assert b"".join(message["body"] for message in got) == b"x" * (2 * PIECE_BYTES) + b"end"
    assert max(len(message["body"]) for message in got) == PIECE_BYTES
    assert [message["more_body"] for message in got] == [True, True, False]


def test_a_client_that_does_not_take_a_long_whole_answer_is_hung_up_on() -> None:
    async def run() -> tuple[int, int]:
        client = Client()
        whole = Whole(client, stall_s=0.1)
        await asyncio.wait_for(whole.end(b"x" * (2 * PIECE_BYTES)), 1)
        return client.aborted, len(client.got)

    assert asyncio.run(run()) == (1, 0)


def test_a_cancelled_walk_ends_although_its_client_does_not_read() -> None:
    async def run() -> bool:
        client = Client()
        stream = _stream(client)
        walk = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        walk.cancel()
        await asyncio.wait({walk}, timeout=1)
        return walk.cancelled()

    assert asyncio.run(run())


def test_a_walk_told_to_end_while_its_client_left_does_end() -> None:
    async def run() -> bool:
        client = Client()
        stream = _stream(client)
        walk = asyncio.create_task(_write_much(stream))
        await asyncio.sleep(0.01)
        stream.abandon()
        walk.cancel()
        await asyncio.wait({walk}, timeout=1)
        return walk.cancelled()

    assert asyncio.run(run())


def _stream(client: Client) -> Stream:
    return Stream(client, on_stall=lambda: None, stall_s=30)


async def _write_much(stream: Stream) -> bool:
    for _ in range(1000):
        await stream.write(b"x" * 10_000)
    return True
