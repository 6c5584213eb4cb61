"""A web process that is told to end: no answer is cut off silently, and all are settled."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx2
import pytest

from tests.e2e import raw
from tests.e2e.raw import PATHS
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import Script, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

SHUTDOWN_S = 1.0
ACCEPT_S = 0.4
RESTARTS = 2
STREAMS = 24
# What the end of a complete stream looks like, and of one that was ended.
COMPLETE = {"openai": "data: [DONE]", "anthropic": "event: message_stop"}
BROKEN = {"openai": 'data: {"error"', "anthropic": "event: error"}


class Told(NamedTuple):
    """What a client got of one answer."""

    protocol: str
    status: int
    text: str
    headers: httpx2.Headers


@pytest.fixture
def web(stack: Stack) -> Iterator[Web]:
    """A web process that does not give its answers long."""
    web = started(stack)
    yield web
    web.stop()


def started(stack: Stack) -> Web:
    return stack.web(
        CCAPI_SHUTDOWN_S=str(SHUTDOWN_S),
        CCAPI_SHUTDOWN_ACCEPT_S=str(ACCEPT_S),
        CCAPI_LOG_LEVEL="error",
    )


def words(model: str, number: int, *, pace: float) -> Script:
    dialect = OPENAI if model == "alpha/one" else ANTHROPIC
    said = transcripts.answer(" ".join(["word"] * number), usage=(10, number))
    return stream(transcripts.frames(dialect, said), pace=pace)


async def answers(web: Web, account: Account, times: int) -> list[Told]:
    """So many streams at once, half of them in each protocol; the process ends meanwhile."""
    begun = asyncio.Semaphore(0)

    async def answer(client: httpx2.AsyncClient, number: int) -> Told:
        protocol = list(PATHS)[number % 2]
        model = ("alpha/one", "beta/one")[number // 2 % 2]
        body = {"model": model, "messages": raw.MESSAGES, "stream": True, "max_tokens": 100}
        text = ""
        async with client.stream("POST", PATHS[protocol], json=body) as told:
            begun.release()
            async for piece in told.aiter_text():  # raises where the connection breaks
                text += piece
        return Told(protocol, told.status_code, text, told.headers)

    headers = {"authorization": f"Bearer {account.api_key}"}
    limits = httpx2.Limits(max_connections=times)
    async with httpx2.AsyncClient(
        base_url=web.url, headers=headers, timeout=20, limits=limits
    ) as client:
        tasks = [asyncio.create_task(answer(client, number)) for number in range(times)]
        for _ in range(times):
            await begun.acquire()
        web.process.send_signal(signal.SIGTERM)
        return await asyncio.gather(*tasks)


def test_streams_over_restarts_end_complete_or_with_an_error_and_all_are_settled(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    # Some are done within the time that they are given, some are not.
    scripts = {
        model: [words(model, n, pace=0.05) for n in (8, 60)] for model in ("alpha/one", "beta/one")
    }
    told: list[Told] = []
    for _ in range(RESTARTS):
        for model, (short, long) in scripts.items():
            upstream.on(model.replace("/", "-"), *(STREAMS // 4) * (short, long))
        web = started(stack)
        told += asyncio.run(answers(web, account, STREAMS))
        assert web.process.wait(10) is not None
    stack.wait_for_no_holds()

    complete = [one for one in told if COMPLETE[one.protocol] in one.text]
    broken = [one for one in told if BROKEN[one.protocol] in one.text]
    receipts = [stack.generation(account, one.headers["x-ccapi-generation-id"]) for one in broken]
    assert len(told) == RESTARTS * STREAMS
    assert {one.status for one in told} == {200}
    assert len(complete) + len(broken) == len(told), "one was cut off silently"
    assert not {id(one) for one in complete} & {id(one) for one in broken}
    assert len(broken) >= len(told) // 4
    assert {(one["status"], one["outcome"]) for one in receipts} == {("server_shutdown", "partial")}
    assert all(one["error_code"] == "overloaded" for one in receipts)
    assert all(0 < one["usage"]["output_tokens"] < 60 for one in receipts)
    settled = (
        "SELECT count(*) FROM settlement s JOIN organization o ON o.id = s.organization_id"
        " WHERE o.public_id = %s"
    )
    assert stack.rows(settled, account.organization) == [(len(told),)]
    stack.audit()


def test_readiness_turns_at_once_while_requests_are_served_for_a_moment(
    stack: Stack, upstream: Upstream, account: Account, web: Web
) -> None:
    upstream.on("alpha-one", reply(200, transcripts.body(OPENAI, transcripts.answer("Hello."))))
    body = {"model": "alpha/one", "messages": raw.MESSAGES}

    with stack.http(account, web) as client:
        before = client.get("/readyz")
        web.process.send_signal(signal.SIGTERM)
        _wait_for(lambda: client.get("/readyz").status_code == 503, within_s=0.2)
        alive = client.get("/livez")
        served = client.post(PATHS["openai"], json=body)
        _wait_for(lambda: web.process.poll() is not None, within_s=ACCEPT_S + 2)

    assert before.status_code == 200
    assert alive.status_code == 200
    assert served.status_code == 200
    assert served.headers["connection"] == "close"


@pytest.mark.parametrize(("protocol", "status"), [("openai", 503), ("anthropic", 529)])
def test_an_answer_that_does_not_come_in_time_is_refused_with_a_time_to_come_back(
    stack: Stack, upstream: Upstream, account: Account, web: Web, protocol: str, status: int
) -> None:
    late = transcripts.body(OPENAI, transcripts.answer("Too late."))
    upstream.on("alpha-one", reply(200, late, first_byte_s=8))

    client = raw.ask(web, account, PATHS[protocol], model="alpha/one")
    upstream.wait_until(lambda fake: fake.count() == 1)
    web.process.send_signal(signal.SIGTERM)
    answer = raw.read_until(client, b"overloaded").decode()

    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert "retry-after: " in answer
    assert "connection: close" in answer
    stack.wait_for_no_holds()
    query = (
        "SELECT e.status, e.cost_nano FROM usage_event e"
        " JOIN organization o ON o.id = e.organization_id WHERE o.public_id = %s"
    )
    assert stack.rows(query, account.organization) == [("server_shutdown", 0)]
    upstream.wait_until(lambda fake: fake.hangups == 1)


@pytest.mark.xdist_group("alone")
def test_a_second_signal_leaves_streams_no_time_but_a_proper_end(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    web = stack.web(CCAPI_SHUTDOWN_S="20", CCAPI_LOG_LEVEL="error")
    upstream.on("alpha-one", words("alpha/one", 100, pace=0.1))

    client = raw.ask(web, account, PATHS["openai"], model="alpha/one", stream=True)
    raw.read_until(client, b"word")
    web.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    began = time.monotonic()
    web.process.send_signal(signal.SIGTERM)
    rest = raw.read_until(client, b'"code":"overloaded"')
    web.process.wait(10)

    assert b"[DONE]" not in rest
    assert time.monotonic() - began < 5
    stack.wait_for_no_holds()


@pytest.mark.xdist_group("alone")
def test_a_client_that_does_not_read_does_not_keep_the_process(
    stack: Stack, upstream: Upstream, account: Account, web: Web
) -> None:
    upstream.on("alpha-one", words("alpha/one", 20_000, pace=0))

    client = raw.connect(web, receive_bytes=4096)
    client.sendall(raw.request(account, PATHS["openai"], model="alpha/one", stream=True))
    client.recv(1000)
    time.sleep(0.3)
    web.process.send_signal(signal.SIGTERM)

    try:
        web.process.wait(SHUTDOWN_S + 6)
    except subprocess.TimeoutExpired:
        pytest.fail("the process waits for a client that does not read")
    assert _is_broken(client)
    stack.wait_for_no_holds()


def _is_broken(client: socket.socket) -> bool:
    """Whether what it still reads ends without the answer's end."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        return True
    return not data.endswith(b"0\r\n\r\n")


def _wait_for(condition: object, *, within_s: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)
