"""Many streams at a human pace on two processes: none of them stands still.

What a busy machine adds is known from some streams that go straight to the upstream meanwhile, and
a round that it spoiled is run again. How late exactly events come is measured by `manage.py bench`.
"""

import asyncio
import itertools
import time

import httpx2
import pytest

from tests.e2e import raw
from tests.e2e.raw import PATHS
from tests.e2e.stack import Account, Stack
from tests.fakes import transcripts
from tests.fakes.steps import stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

STREAMS = 60
DIRECT = 20
EVENTS = 25
PACE_S = 0.1
# Whoever waits for a disk, a lock or a full buffer stands still for longer than this.
STALL_S = 0.3
ROUNDS = 3


async def gaps(
    urls: list[str], direct: str, account: Account
) -> tuple[list[list[float]], list[list[float]]]:
    """Of each stream, the time between its pieces: of ours, and of the direct ones.

    Fails where one does not end as it should.
    """
    headers = {"authorization": f"Bearer {account.api_key}"}
    limits = httpx2.Limits(max_connections=STREAMS + DIRECT)

    async def read(client: httpx2.AsyncClient, number: int) -> list[float]:
        await asyncio.sleep(number * PACE_S / STREAMS)
        protocol, marker = (("openai", "[DONE]"), ("anthropic", "message_stop"))[number % 2]
        model = ("alpha/one", "beta/one")[number // 2 % 2]
        url = urls[number // 4 % len(urls)] + PATHS[protocol]
        if number >= STREAMS:
            model, url = ("alpha-one", "beta-one")[number % 2], direct + PATHS[protocol]
        body = {"model": model, "messages": raw.MESSAGES, "stream": True, "max_tokens": 100}
        seen, text = [], ""
        async with client.stream("POST", url, json=body) as answer:
            async for piece in answer.aiter_text():
                seen.append(time.monotonic())
                text += piece
        assert marker in text
        return [after - before for before, after in itertools.pairwise(seen)]

    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=20) as client:
        seen = await asyncio.gather(*(read(client, n) for n in range(STREAMS + DIRECT)))
    return seen[:STREAMS], seen[STREAMS:]


def late(streams: list[list[float]]) -> float:
    """The gap that one in a hundred exceeds."""
    every = sorted(gap for one in streams for gap in one)
    return every[int(len(every) * 0.99)]


@pytest.mark.xdist_group("alone")
def test_paced_streams_on_two_processes_do_not_stall(
    stack: Stack, upstream: Upstream, account: Account
) -> None:
    said = transcripts.answer(" ".join(["word"] * EVENTS), usage=(10, EVENTS))
    upstream.on("alpha-one", stream(transcripts.frames(OPENAI, said), pace=PACE_S))
    upstream.on("beta-one", stream(transcripts.frames(ANTHROPIC, said), pace=PACE_S))

    urls = [web.url for web in stack.webs[:2]]

    spoiled = []
    for _ in range(ROUNDS):
        ours, direct = asyncio.run(gaps(urls, upstream.url, account))
        assert all(len(one) > EVENTS * 0.8 for one in ours)  # nothing is held back and joined
        if late(ours) < late(direct) + STALL_S:
            break
        spoiled.append((late(ours), late(direct)))

    assert len(spoiled) < ROUNDS, f"gaps of ours and of the direct ones, in seconds: {spoiled}"
    stack.wait_for_no_holds()
