"""Breakers of several processes over a real Valkey: each board here stands for one process."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from ccapi.core import clock, valkey, valkey_line
from gateway.routing.board import Board
from gateway.routing.breakers import Breakers
from gateway.routing.sharing import CHANNEL, STATE_KEY, Sharing
from gateway.routing.tries import Try
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer
from tests.gateway.routing.offers import answered, board, candidate

NOT_FOUND = answered("not_found", 404)  # out for three seconds and more
OVERLOADED = answered("overloaded", 503)  # out for one second at most


@pytest.fixture(scope="module")
def running() -> Iterator[ValkeyServer]:
    with valkey_server.running() as own:
        yield own


@pytest.fixture
def server(running: ValkeyServer, settings: Settings) -> ValkeyServer:
    settings.REDIS_URL = running.url
    with running.client() as client:
        client.flushall()
    return running


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def and_close() -> None:
        try:
            await main()
        finally:
            valkey_line.close()
            await valkey.close()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    asyncio.run(and_close())


async def until(condition: Callable[[], bool], *, limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.01)


async def process() -> Board:
    """One that has heard what there is."""
    here = board()
    sharing = here.shares = Sharing(here.breakers)
    await until(lambda: sharing.is_current)
    return here


def stop(here: Board) -> None:
    assert isinstance(here.shares, Sharing)
    here.shares.stop()


def break_it(here: Board, failure: Any = NOT_FOUND) -> None:  # noqa: ANN401 — see `answered`
    for _ in range(5):
        here.failed(call(), failure, clock.monotonic())


def call(*, probes: tuple[str, ...] = ()) -> Try:
    return Try(candidate(1), "a key", probes)


def state(breakers: Breakers) -> str:
    return breakers.state("offer:1", clock.monotonic())


def test_what_one_opens_and_closes_the_others_hear(server: ValkeyServer) -> None:
    async def main() -> None:
        one, two = await process(), await process()

        break_it(one)
        await until(lambda: state(two.breakers) == "open")
        theirs, ours = two.breakers.out["offer:1"], one.breakers.out["offer:1"]
        assert abs(theirs.until - ours.until) < 0.5
        assert (theirs.place, theirs.cause) == (ours.place, "not_found")

        spite = call()
        spite.is_forced = True
        one.succeeded(spite)
        await until(lambda: state(two.breakers) == "closed")

    run(main)


def test_a_new_process_learns_what_is_out_of_service(server: ValkeyServer) -> None:
    async def main() -> None:
        one = await process()
        break_it(one)
        await until(lambda: bool(server.client().hexists(STATE_KEY, "offer:1")))

        late = await process()
        assert state(late.breakers) == "open"
        assert late.breakers.out["offer:1"].until < one.breakers.out["offer:1"].until + 0.5

    run(main)


def test_exactly_one_process_gets_the_probe_and_its_end_is_heard(server: ValkeyServer) -> None:
    async def main() -> None:
        boards = [await process() for _ in range(4)]
        break_it(boards[0], OVERLOADED)
        await until(lambda: all(state(each.breakers) == "open" for each in boards))
        await until(lambda: all(state(each.breakers) == "half_open" for each in boards))
        await asyncio.sleep(0.05)

        calls = [call(probes=("offer:1",)) for _ in boards]
        granted = await asyncio.gather(
            *(each.claim(way) for each, way in zip(boards, calls, strict=True))
        )
        assert sum(granted) == 1
        prober = granted.index(True)
        assert {state(each.breakers) for each in boards} == {"probing"}

        # It fails: everybody stays away for longer than before.
        boards[prober].failed(calls[prober], OVERLOADED, clock.monotonic())
        await until(lambda: all(state(each.breakers) == "open" for each in boards))
        assert {each.breakers.out["offer:1"].streak for each in boards} == {2}

    run(main)


def test_a_probe_that_is_given_back_goes_to_another_process(server: ValkeyServer) -> None:
    async def main() -> None:
        one, two = await process(), await process()
        break_it(one, OVERLOADED)
        await until(lambda: state(two.breakers) == "open")
        await until(lambda: {state(one.breakers), state(two.breakers)} == {"half_open"})
        await asyncio.sleep(0.05)
        first, second = call(probes=("offer:1",)), call(probes=("offer:1",))
        assert await one.claim(first)
        assert not await two.claim(second)

        one.released(first)
        await until(lambda: state(two.breakers) == "half_open")

        assert await two.claim(call(probes=("offer:1",)))

    run(main)


def test_a_restarted_valkey_is_told_again_and_nothing_is_forgotten(server: ValkeyServer) -> None:
    async def main() -> None:
        one, two = await process(), await process()
        break_it(one)
        await until(lambda: state(two.breakers) == "open")

        server.restart()

        assert (state(one.breakers), state(two.breakers)) == ("open", "open")
        await until(lambda: bool(server.client().hexists(STATE_KEY, "offer:1")))
        assert state((await process()).breakers) == "open"

    run(main)


def test_who_was_away_hears_of_what_was_closed_meanwhile(server: ValkeyServer) -> None:
    async def main() -> None:
        one, two = await process(), await process()
        break_it(one)
        await until(lambda: state(two.breakers) == "open")
        stop(two)
        await asyncio.sleep(0.05)
        spite = call()
        spite.is_forced = True
        one.succeeded(spite)
        await asyncio.sleep(0.05)
        assert state(two.breakers) == "open"

        again = Sharing(two.breakers)
        await until(lambda: again.is_current)

        assert state(two.breakers) == "closed"
        assert state(one.breakers) == "closed"

    run(main)


def test_what_another_version_says_is_left_aside(server: ValkeyServer) -> None:
    async def main() -> None:
        one, two = await process(), await process()
        with server.client() as client:
            client.publish(CHANNEL, 'other o 5000 {"place": 7}')
            client.hset(STATE_KEY, "offer:9", 'o 99999999999999 {"cause": "boredom"}')

        break_it(one)
        await until(lambda: state(two.breakers) == "open")
        assert "offer:9" not in (await process()).breakers.out

    run(main)


def test_without_valkey_each_process_goes_by_what_it_sees(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    async def main() -> None:
        here = board()
        here.shares = Sharing(here.breakers)
        break_it(here, OVERLOADED)
        assert state(here.breakers) == "open"
        await until(lambda: state(here.breakers) == "half_open")

        way = call(probes=("offer:1",))
        assert await here.claim(way)
        assert state(here.breakers) == "probing"
        here.succeeded(way)

        assert state(here.breakers) == "closed"

    run(main)
