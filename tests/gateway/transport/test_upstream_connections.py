"""Connections: which request goes over which, how often, and what is left behind."""

import asyncio

import pytest

from gateway.transport import client, connection, pool
from gateway.transport.failures import AttemptFailed
from tests.gateway.transport.raw_server import (
    BODY,
    CHUNKED,
    LOOPS,
    WHOLE,
    Runner,
    Server,
    Wire,
    answer_all,
    ask,
    descriptors,
    post,
    serving,
    until,
)


@LOOPS
@pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["length", "chunked"])
def test_a_connection_is_used_again_and_again(answer: bytes, run: Runner) -> None:
    async def handler(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(answer)

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(50):
                assert await ask(server) == BODY
            assert server.connections == 1
            assert await asyncio.gather(*[ask(server) for _ in range(8)]) == [BODY] * 8
            assert server.connections <= 8

    run(main())


def test_the_connection_that_was_used_last_is_used_first() -> None:
    used: list[int] = []

    async def handler(wire: Wire) -> None:
        while True:
            await wire.request()
            used.append(wire.number)
            await wire.send(WHOLE)

    async def main() -> None:
        async with serving(handler) as server:
            first, second = await post(server), await post(server)
            await second.read_all()
            await first.read_all()
            del used[:]
            for _ in range(4):
                await ask(server)

    asyncio.run(main())

    assert len(set(used)) == 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nconnection: close\r\n", b"HTTP/1.0 200 OK\r\n"],
    ids=["told", "HTTP/1.0"],
)
def test_a_connection_that_the_provider_will_close_is_not_kept(head: bytes) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(head + b"content-length: 2\r\n\r\nok")
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server:
            assert await ask(server) == b"ok"
            assert await ask(server) == b"ok"
            assert server.connections == 2
            await until(lambda: server.open == 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    "surplus", [b"x", b"\x00", WHOLE.replace(BODY, b'{"evil": 1'), b"HTTP/1.1 200 OK\r\n"]
)
@pytest.mark.parametrize("apart", [False, True], ids=["together", "later"])
def test_what_comes_behind_an_answer_never_answers_the_next_request(
    surplus: bytes, apart: bool
) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE, surplus) if apart else await wire.send(WHOLE + surplus)
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(2):
                assert await ask(server) == BODY
                await asyncio.sleep(0.02)
            assert server.connections == 2

    asyncio.run(main())


def test_a_connection_is_closed_when_it_has_been_idle_for_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.05)
    monkeypatch.setattr(pool, "SWEEP_S", 0.03)

    async def main() -> None:
        async with serving(answer_all) as server:
            await ask(server)
            await asyncio.sleep(0.01)
            await ask(server)
            assert server.connections == 1
            await until(lambda: server.open == 0)

    asyncio.run(main())


def test_no_more_connections_are_kept_idle_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_MAX", 3)

    async def main() -> None:
        async with serving(answer_all) as server:
            await asyncio.gather(*[ask(server) for _ in range(20)])
            await until(lambda: server.open == 3)

    asyncio.run(main())


# Once more, or not.
@LOOPS
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_request_that_finds_its_kept_connection_closed_is_sent_on_a_new_one(
    how: str, run: Runner
) -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE)
        await wire.request()  # read, and not answered: the farewell was on its way
        if how == "reset":
            wire.reset()

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(10):
                assert await ask(server) == BODY
            assert server.connections == 10

    run(main())


def test_a_kept_connection_that_is_closed_while_idle_is_not_tried() -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE)

    async def main() -> None:
        async with serving(handler) as server:
            for _ in range(3):
                assert await ask(server) == BODY
                await until(lambda: server.open == 0)
                await asyncio.sleep(0.01)
            assert server.connections == 3

    asyncio.run(main())


def test_a_request_is_sent_once_more_and_not_oftener() -> None:
    requests = 0

    async def handler(wire: Wire) -> None:
        nonlocal requests
        if wire.number == 1:
            await wire.request()
            await wire.send(WHOLE)
        await wire.request()
        requests += 1

    async def main() -> None:
        async with serving(handler) as server:
            await ask(server)
            with pytest.raises(AttemptFailed, match="could not be reached"):
                await ask(server)

    asyncio.run(main())

    assert requests == 2


def test_a_request_on_a_new_connection_is_never_sent_twice() -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()

    async def main() -> None:
        async with serving(handler) as server:
            with pytest.raises(AttemptFailed):
                await ask(server)
            assert server.connections == 1

    asyncio.run(main())


def test_a_request_of_which_a_byte_was_answered_is_never_sent_twice() -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE)
        await wire.request()
        await wire.send(b"H")

    async def main() -> None:
        async with serving(handler) as server:
            await ask(server)
            with pytest.raises(AttemptFailed):
                await ask(server)
            assert server.connections == 1

    asyncio.run(main())


def test_a_request_that_the_provider_had_for_long_is_never_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "STALE_S", 0.05)

    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(WHOLE)
        await wire.request()
        await asyncio.sleep(0.1)

    async def main() -> None:
        async with serving(handler) as server:
            await ask(server)
            with pytest.raises(AttemptFailed):
                await ask(server)
            assert server.connections == 1

    asyncio.run(main())


# Leaving.
@LOOPS
def test_a_thousand_cancelled_requests_leave_nothing_open(run: Runner) -> None:
    async def handler(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(WHOLE[:40])
            await asyncio.sleep(0.002)
            await wire.send(WHOLE[40:])

    async def one(server: Server, number: int) -> None:
        try:
            async with asyncio.timeout(number % 10 * 0.0007):
                await ask(server)
        except TimeoutError:
            pass

    async def main() -> None:
        async with serving(handler) as server:
            await ask(server)
            before = descriptors()
            for start in range(0, 1000, 50):
                await asyncio.gather(*[one(server, start + n) for n in range(50)])
            assert await ask(server) == BODY
            await client.close()
            await until(lambda: server.open == 0)
            await until(lambda: descriptors() <= before)

    run(main())


def test_a_waiter_that_leaves_hangs_up() -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server:
            waiting = asyncio.create_task(post(server))
            await until(lambda: server.open == 1)
            waiting.cancel()
            await until(lambda: server.open == 0)
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(main())


def test_closing_an_answer_in_its_middle_hangs_up() -> None:
    async def handler(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED[:-8])
        await wire.gone()

    async def main() -> None:
        async with serving(handler) as server:
            upstream = await post(server)
            upstream.close()
            await until(lambda: server.open == 0)
            assert await upstream.read() == b""

    asyncio.run(main())
