"""A body that is passed on in the turn in which it comes, without waking who reads it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.transport.answer import UNREAD_MAX
from gateway.transport.failures import AttemptFailed
from tests.gateway.transport.raw_server import LOOPS, Runner, Wire, post, serving, until

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def started(waits: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task that has come to where it waits."""
    task = asyncio.create_task(waits)
    await asyncio.sleep(0.01)
    return task


class Taken(list[bytes]):
    """What was passed on; says whether more is to be."""

    def __init__(self, *, goes_on: bool = True) -> None:
        super().__init__()
        self._goes_on = goes_on

    def __call__(self, data: bytes) -> bool:
        self.append(data)
        return self._goes_on


class Sender:
    """A handler that sends what the test tells it, when it does."""

    def __init__(self) -> None:
        self._wire: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()

    async def __call__(self, wire: Wire) -> None:
        await wire.request()
        await wire.send(HEAD)
        self._wire.set_result(wire)
        await wire.gone()

    async def send(self, *pieces: bytes) -> None:
        await (await self._wire).send(*pieces)

    async def hang_up(self) -> None:
        (await self._wire).reset()


@LOOPS
def test_pieces_come_in_order_and_what_came_with_the_end_is_read(run: Runner) -> None:
    async def main() -> None:
        sender, taken = Sender(), Taken()
        async with serving(sender) as server:
            upstream = await post(server)
            passing = await started(upstream.pass_on(taken))
            await sender.send(chunk(b"one"))
            await until(lambda: taken == [b"one"])
            await sender.send(chunk(b"two"))
            await until(lambda: taken == [b"one", b"two"])
            assert not passing.done()
            await sender.send(chunk(b"three") + END)
            await asyncio.wait_for(passing, 3)

            assert await upstream.read() == b"three"
            assert await upstream.read() == b""

    run(main())


@LOOPS
def test_who_says_no_reads_on_himself(run: Runner) -> None:
    async def main() -> None:
        sender, taken = Sender(), Taken(goes_on=False)
        async with serving(sender) as server:
            upstream = await post(server)
            passing = await started(upstream.pass_on(taken))
            await sender.send(chunk(b"one"))
            await asyncio.wait_for(passing, 3)
            await sender.send(chunk(b"two"))

            assert await upstream.read() == b"two"
            await sender.send(chunk(b"three"))
            assert await upstream.read() == b"three"
            assert taken == [b"one"]

    run(main())


@LOOPS
def test_what_has_come_before_is_read_first(run: Runner) -> None:
    async def main() -> None:
        sender = Sender()
        async with serving(sender) as server:
            upstream = await post(server)
            await sender.send(chunk(b"one"))
            await asyncio.sleep(0.05)

            await asyncio.wait_for(upstream.pass_on(_never), 3)

            assert await upstream.read() == b"one"

    run(main())


@LOOPS
def test_a_break_ends_it_and_is_told_by_the_next_read(run: Runner) -> None:
    async def main() -> None:
        sender, taken = Sender(), Taken()
        async with serving(sender) as server:
            upstream = await post(server)
            passing = await started(upstream.pass_on(taken))
            await sender.send(chunk(b"one"))
            await until(lambda: taken == [b"one"])
            await sender.hang_up()
            await asyncio.wait_for(passing, 3)

            with pytest.raises(AttemptFailed):
                await upstream.read()

    run(main())


@LOOPS
def test_a_walk_that_is_cancelled_meanwhile_is_given_nothing_more(run: Runner) -> None:
    async def main() -> None:
        sender, taken = Sender(), Taken()
        async with serving(sender) as server:
            upstream = await post(server)
            passing = await started(upstream.pass_on(taken))
            await sender.send(chunk(b"one"))
            await until(lambda: taken == [b"one"])
            passing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await passing
            await sender.send(chunk(b"two"))

            assert await upstream.read() == b"two"
            assert taken == [b"one"]

    run(main())


@LOOPS
def test_much_at_once_comes_in_bounded_pieces(run: Runner) -> None:
    async def main() -> None:
        sender, taken = Sender(), Taken()
        async with serving(sender) as server:
            upstream = await post(server)
            size = 20 * UNREAD_MAX
            passing = await started(upstream.pass_on(taken))
            await sender.send(chunk(b"x" * size))
            await sender.send(END)
            await asyncio.wait_for(passing, 3)
            while data := await upstream.read():
                taken.append(data)

            assert b"".join(taken) == b"x" * size
            assert max(len(data) for data in taken) <= UNREAD_MAX

    run(main())


def _never(_data: bytes) -> bool:
    raise AssertionError("it came before")
