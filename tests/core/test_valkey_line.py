"""Scripts on a real Valkey: in one write, in order, and what happens when it goes away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from pytest_django import Settings
from structlog.testing import capture_logs

from ccapi.core import valkey, valkey_line
from ccapi.core.valkey_line import Away, Line, Script
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer

ECHO = Script("return ARGV[1]")
COUNT = Script("return redis.call('INCR', KEYS[1])")
FAULTY = Script("return redis.call('NONSENSE')")


@pytest.fixture(scope="module")
def own_server() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


@pytest.fixture
def server(
    own_server: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> ValkeyServer:
    settings.REDIS_URL = own_server.url
    settings.CCAPI_VALKEY_HOT_S = 0.2  # other tests share this machine
    monkeypatch.setattr(valkey, "_is_away", False)
    with own_server.client() as client:
        client.flushall()
    return own_server


def run(main: Callable[[Line], Awaitable[None]]) -> None:
    async def and_close() -> None:
        try:
            await main(valkey_line.line())
        finally:
            valkey_line.close()

    asyncio.run(and_close())


async def until_back(line: Line) -> None:
    async with asyncio.timeout(5):
        while line.is_away:  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.01)


def test_each_question_gets_its_own_answer_and_all_of_a_turn_go_in_one_write(
    server: ValkeyServer,
) -> None:
    async def main(line: Line) -> None:
        await line.call(ECHO, [], ["warm"])
        with server.client() as client:
            before = client.info("stats")["total_reads_processed"]
            answers = await asyncio.gather(*(line.call(ECHO, [], [f"{n}"]) for n in range(500)))
            reads = client.info("stats")["total_reads_processed"] - before
        assert answers == [b"%d" % number for number in range(500)]
        assert reads < 20  # 500 in a few reads of the server's 16 KiB, and `info` itself

    run(main)


def test_what_nobody_waits_for_is_done_in_order(server: ValkeyServer) -> None:
    async def main(line: Line) -> None:
        for _ in range(3):
            line.tell(COUNT, ["n"], [])
        assert await line.call(COUNT, ["n"], []) == 4

    run(main)


def test_a_script_that_the_server_forgot_is_sent_again(server: ValkeyServer) -> None:
    async def main(line: Line) -> None:
        assert await line.call(COUNT, ["n"], []) == 1
        with server.client() as client:
            client.script_flush()
        assert await asyncio.gather(*(line.call(COUNT, ["n"], []) for _ in range(3))) == [2, 3, 4]

    run(main)


def test_a_faulty_script_fails_its_own_question_only(server: ValkeyServer) -> None:
    async def main(line: Line) -> None:
        bad, good = line.call(FAULTY, [], []), line.call(ECHO, [], ["fine"])
        with pytest.raises(Away):
            await bad
        assert await good == b"fine"
        assert not line.is_away

    with capture_logs() as lines:
        run(main)
    assert [each["event"] for each in lines] == ["valkey.refused"]


def test_a_restarted_server_is_found_again_by_itself(server: ValkeyServer) -> None:
    async def main(line: Line) -> None:
        assert await line.call(COUNT, ["n"], []) == 1
        server.restart()
        await asyncio.sleep(0.05)
        await until_back(line)
        assert await line.call(COUNT, ["n"], []) == 1

    with capture_logs() as lines:
        run(main)
    assert [each["event"] for each in lines] == ["valkey.away", "valkey.back"]


def test_whoever_waits_on_a_silent_server_is_told_in_time_and_nobody_waits_after_them(
    server: ValkeyServer,
) -> None:
    async def main(line: Line) -> None:
        loop = asyncio.get_running_loop()
        await line.call(ECHO, [], ["there"])
        with server.paused():
            began = loop.time()
            waiting = [line.call(ECHO, [], ["?"]) for _ in range(3)]
            for each in waiting:
                with pytest.raises(Away):
                    await each
            assert 0.2 <= loop.time() - began < 1.0
            began = loop.time()
            with pytest.raises(Away):
                await line.call(ECHO, [], ["?"])
            assert loop.time() - began < 0.05
        await until_back(line)
        assert await line.call(ECHO, [], ["again"]) == b"again"

    run(main)


def test_a_stall_of_our_own_is_not_taken_for_the_server_s(server: ValkeyServer) -> None:
    async def main(line: Line) -> None:
        await line.call(ECHO, [], ["there"])
        answer = line.call(ECHO, [], ["late"])
        await asyncio.sleep(0)  # sent
        with server.client() as client:
            client.ping()
            time.sleep(0.4)  # noqa: ASYNC251 — the stall
        assert await answer == b"late"

    run(main)


def test_without_a_server_a_call_fails_soon_and_then_at_once(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    async def main(line: Line) -> None:
        for _ in range(2):
            with pytest.raises(Away):
                await line.call(ECHO, [], ["?"])
        line.tell(ECHO, [], ["nobody"])
        assert line.is_away

    run(main)


def test_a_server_that_wants_a_password_gets_it(server: ValkeyServer, settings: Settings) -> None:
    with server.client() as client:
        client.config_set("requirepass", "open sesame")
        client.execute_command("AUTH", "open sesame")
        try:
            settings.REDIS_URL = f"redis://:open%20sesame@127.0.0.1:{server.port}/3"

            async def main(line: Line) -> None:
                assert await line.call(COUNT, ["n"], []) == 1

            run(main)
            client.select(3)
            assert client.get("n") == b"1"
        finally:
            client.select(0)
            client.config_set("requirepass", "")
