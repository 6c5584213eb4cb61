"""Clients that do not read: what one costs in memory, and that it is cut."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw
from tests.e2e.raw import PATHS
from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import SILENCE, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

STALL_S = 1.5
READERS = 20
READER_BYTES_MAX = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def web(shared_stack: Stack) -> Iterator[Web]:
    web = shared_stack.web(CCAPI_CLIENT_STALL_S=str(STALL_S))
    yield web
    web.stop()


def memory(web: Web) -> int:
    """Bytes of the process that are in memory now."""
    return int(Path(f"/proc/{web.process.pid}/statm").read_text().split()[1]) * PAGE


def big(model: str) -> bytes:
    """Frames of some 5 MB: far more than all the buffers between an upstream and a client."""
    dialect = OPENAI if model == "alpha/one" else ANTHROPIC
    said = transcripts.answer(" ".join(["word" * 50] * 1_600), usage=(10, 20_000))
    return b"".join(transcripts.frames(dialect, said))


def ended(client: socket.socket, *, within_s: float) -> bool:
    """Whether the server closes the connection, however little is read of it."""
    deadline = time.monotonic() + within_s
    client.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            if not client.recv(1 << 20):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_slow_reader_costs_less_than_a_mebibyte_and_is_cut_and_settled_in_part(
    stack: Stack, upstream: Upstream, account: Account, web: Web
) -> None:
    for model in ("alpha/one", "beta/one"):
        frames = big(model)
        endless = stream([frames], cut_after=len(frames) - 200, ending=SILENCE)
        upstream.on(model.replace("/", "-"), stream([frames]), endless)
        warm = raw.ask(web, account, PATHS["openai"], model=model, stream=True)
        raw.read_until(warm, b"[DONE]")
        warm.close()
    stack.wait_for_no_holds()
    before, peak, connected = memory(web), 0, upstream.connections

    clients = []
    for number in range(READERS):
        protocol = list(PATHS)[number % 2]
        model = ("alpha/one", "beta/one")[number // 2 % 2]
        clients.append(raw.connect(web, receive_bytes=4096))
        clients[-1].sendall(raw.request(account, PATHS[protocol], model=model, stream=True))
    held_s = time.monotonic() + STALL_S * 0.8
    while time.monotonic() < held_s:
        peak = max(peak, memory(web))
        time.sleep(0.02)
    upstream.wait_until(lambda fake: fake.hangups == READERS, timeout_s=2 * STALL_S)
    stack.wait_for_no_holds()

    assert (peak - before) / READERS < READER_BYTES_MAX
    assert upstream.connections <= connected + 1
    # The server hung up: a proper close would wait until all that is written has been read.
    assert all(ended(client, within_s=2) for client in clients)
    rows = stack.rows(
        "SELECT e.status, e.outcome, count(*) FROM usage_event e"
        " JOIN organization o ON o.id = e.organization_id"
        " WHERE o.public_id = %s AND e.status <> 'ok' GROUP BY 1, 2",
        account.organization,
    )
    assert rows == [("client_cancelled", 5, READERS)]


def test_a_slow_reader_does_not_keep_others_waiting(
    stack: Stack, upstream: Upstream, account: Account, web: Web
) -> None:
    upstream.on("alpha-one", stream([big("alpha/one")]))
    said = transcripts.answer("quick", usage=(1, 1))
    upstream.on("beta-one", reply(200, transcripts.body(ANTHROPIC, said)))
    slow = raw.connect(web, receive_bytes=4096)
    slow.sendall(raw.request(account, PATHS["openai"], model="alpha/one", stream=True))
    time.sleep(0.3)

    began = time.monotonic()
    with stack.http(account, web) as client:
        answer = client.post(
            PATHS["anthropic"],
            json={"model": "beta/one", "messages": raw.MESSAGES, "max_tokens": 5},
        )

    assert answer.status_code == 200
    assert time.monotonic() - began < 1
    slow.close()


def test_a_long_answer_that_comes_whole_is_not_kept_for_a_client_that_does_not_read(
    stack: Stack, upstream: Upstream, account: Account, web: Web
) -> None:
    said = transcripts.answer(" ".join(["word" * 50] * 40_000), usage=(10, 900))
    upstream.on("alpha-one", reply(200, transcripts.body(OPENAI, said)))

    client = raw.connect(web, receive_bytes=4096)
    client.sendall(raw.request(account, PATHS["openai"], model="alpha/one"))
    client.recv(1000)
    time.sleep(STALL_S * 1.5)

    assert ended(client, within_s=2)
