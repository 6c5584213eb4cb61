"""A process with too much to do refuses new chat requests at once, and says when to come back."""

import signal
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e import raw
from tests.e2e.raw import PATHS
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import reply, stream
from tests.fakes.transcripts import OPENAI
from tests.fakes.upstream import Upstream

CONCURRENT_MAX = 3
# Conventional of each protocol, and the type of the error in it.
REFUSED = {"openai": (503, "api_error"), "anthropic": (529, "overloaded_error")}


@pytest.fixture(scope="module")
def web(shared_stack: Stack) -> Iterator[Web]:
    web = shared_stack.web(CCAPI_CONCURRENT_MAX=str(CONCURRENT_MAX), CCAPI_LOG_LEVEL="error")
    yield web
    web.stop()


def assert_refused(answer: httpx2.Response, protocol: str) -> None:
    status, kind = REFUSED[protocol]
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("protocol", list(PATHS))
def test_more_requests_at_once_than_allowed_are_refused_until_one_has_ended(
    stack: Stack, upstream: Upstream, account: Account, web: Web, protocol: str
) -> None:
    said = transcripts.answer(" ".join(["word"] * 40), usage=(10, 40))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said), pace=0.1))
    upstream.on("alpha-two", reply(200, transcripts.body(OPENAI, transcripts.answer("Hello."))))
    body = {"model": "alpha/two", "messages": raw.MESSAGES, "max_tokens": 10}

    running = [
        raw.ask(web, account, PATHS["openai"], model="alpha/one", stream=True)
        for _ in range(CONCURRENT_MAX)
    ]
    for client in running:
        raw.read_until(client, b"word")
    with stack.http(account, web) as http:
        refused = http.post(PATHS[protocol], json=body)
        ready, catalog = http.get("/readyz"), http.get("/models")
        running.pop().close()
        time.sleep(0.2)
        served = http.post(PATHS[protocol], json=body)
    for client in running:
        client.close()

    assert_refused(refused, protocol)
    assert (ready.status_code, ready.json()["checks"]["load"]) == (200, "degraded")
    assert catalog.status_code == 200
    assert served.status_code == 200
    stack.wait_for_no_holds()


@pytest.mark.parametrize("protocol", list(PATHS))
def test_a_loop_that_does_not_keep_up_refuses_until_it_does(
    stack: Stack, upstream: Upstream, account: Account, web: Web, protocol: str
) -> None:
    upstream.on("alpha-two", reply(200, transcripts.body(OPENAI, transcripts.answer("Hello."))))
    body = {"model": "alpha/two", "messages": raw.MESSAGES, "max_tokens": 10}

    client = raw.connect(web)
    for is_second in (False, True):
        web.process.send_signal(signal.SIGSTOP)  # its loop is late by so long
        time.sleep(0.75)
        if is_second:
            client.sendall(raw.request(account, PATHS[protocol], **body))
        web.process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    refused = raw.read_until(client, b"overloaded").decode()
    time.sleep(0.3)
    with stack.http(account, web) as http:
        alive, served = http.get("/livez"), http.post(PATHS[protocol], json=body)

    assert refused.startswith(f"HTTP/1.1 {REFUSED[protocol][0]} ")
    assert "retry-after: " in refused
    assert alive.status_code == 200
    assert served.status_code == 200
    assert upstream.count() == 1
