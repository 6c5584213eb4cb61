"""The limits of one process: like the script, where the two can be compared; careful alone."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings as django_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.types import Limits
from billing.rate_limits import Reservation, verdict
from billing.rate_limits.limiter import RESERVE, SETTLE
from billing.rate_limits.local import LocalLimiter, share
from billing.rate_limits.subjects import Subject, of_caller
from ccapi.core import ids
from ccapi.core.errors import RateLimited
from tests.billing.rate_limits.conftest import Run, new_caller
from tests.billing.rate_limits.test_reserving import take, take_all
from tests.core import valkey_server
from tests.core.valkey_server import ValkeyServer

NOWHERE = "redis://127.0.0.1:1/0"
LIMIT = st.sampled_from([0, 1, 2, 3, 5])
TOKENS = st.sampled_from([0, 10, 25, 100])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from([0, 1, 10, 60])),
        st.tuples(st.just("settle"), st.sampled_from([0, 5, 20, 200])),
        st.tuples(st.just("wait"), st.sampled_from([1, 7, 20, 45, 120])),
    ),
    max_size=25,
)
UNSURE_S = 0.5  # the script's clock ran on while the model's stood still


class Script:
    """`reserve.lua` and `settle.lua`, called synchronously."""

    def __init__(self, client: redis.Redis, subjects: tuple[Subject, ...]) -> None:
        self._client = client
        self._subjects = subjects
        self._names = [name for each in subjects for name in (each.meters, each.slots)]

    def reserve(self, lease: bytes, wanted: list[int]) -> verdict.Verdict:
        words: list[bytes | int] = [lease, 60_000_000]
        for each, tokens in zip(self._subjects, wanted, strict=True):
            words += (each.limits.rpm, each.limits.tpm, each.limits.concurrent, tokens)
        return verdict.read(self._client.eval(RESERVE.text, len(self._names), *self._names, *words))

    def settle(self, lease: bytes, changes: list[int]) -> None:
        words: list[bytes | int] = [lease]
        for each, change in zip(self._subjects, changes, strict=True):
            words += (each.limits.tpm, change)
        self._client.eval(SETTLE.text, len(self._names), *self._names, *words)


class Pair:
    """The script and the model, asked the same."""

    def __init__(self, client: redis.Redis, subjects: tuple[Subject, ...]) -> None:
        self._client = client
        self._subjects = subjects
        self._script = Script(client, subjects)
        self._now = 1_000.0
        self._model = LocalLimiter(1, clock=lambda: self._now)
        self._held: list[tuple[bytes, list[int]]] = []

    def wait(self, seconds: int) -> None:
        self._now += seconds
        for subject in self._subjects:
            if self._client.exists(subject.meters):
                self._client.hincrbyfloat(subject.meters, "at", -seconds * 1_000_000)

    def settle(self, tokens: int) -> None:
        if not self._held:
            return
        lease, wanted = self._held.pop(0)
        changes = [tokens - each for each in wanted]
        self._script.settle(lease, changes)
        for subject, change in zip(self._subjects, changes, strict=True):
            self._model.correct(subject, change)

    def take(self, tokens: int) -> bool:
        """Whether the two can still be compared. Fails where they differ."""
        lease = ids.uuid7().bytes
        wanted = [min(tokens, subject.limits.tpm) for subject in self._subjects]
        ours = self._model.reserve(self._subjects, wanted, [len(self._held)] * len(wanted)).refusal
        theirs = self._script.reserve(lease, wanted).refusal
        if ours is None or theirs is None:
            if ours is not None and 0 < ours.wait_s < UNSURE_S:
                return False
            assert ours == theirs
            self._held.append((lease, wanted))
        else:
            # Not which limit: two may refuse for nearly the same time.
            assert ours.wait_s == pytest.approx(theirs.wait_s, abs=UNSURE_S)
        return True


@given(
    limits=st.builds(Limits, rpm=LIMIT, tpm=TOKENS, concurrent=LIMIT),
    key_limits=st.builds(Limits, rpm=LIMIT, tpm=TOKENS, concurrent=LIMIT),
    steps=STEPS,
)
@settings(max_examples=100, deadline=None)
def test_the_script_and_the_process_decide_alike(
    limits: Limits, key_limits: Limits, steps: list[tuple[str, int]]
) -> None:
    subjects = of_caller(new_caller(limits, key_limits))
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        pair = Pair(client, subjects)
        for step, amount in steps:
            if step == "wait":
                pair.wait(amount)
            elif step == "settle":
                pair.settle(amount)
            elif subjects and not pair.take(amount):
                break
        for subject in subjects:
            client.delete(subject.meters, subject.slots)


def test_a_share_is_never_nothing_and_never_all() -> None:
    whole = Limits(rpm=600, tpm=1_000_000, concurrent=3)
    assert share(whole, 4) == Limits(rpm=150, tpm=250_000, concurrent=1)
    assert share(whole, 1) == whole
    assert share(Limits(rpm=5), 100) == Limits(rpm=1)
    assert share(Limits(), 8) == Limits()


def test_alone_a_process_grants_its_share_and_tells_it(run: Run, settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE
    caller = new_caller(Limits(rpm=40), Limits(concurrent=400))

    async def main() -> None:
        held = await take_all(caller, 50)
        assert len(held) == 10  # of four processes, until it is known how many there are
        assert all(each.is_local for each in held)
        first, last = held[0].told(), held[-1].told()
        assert first["x-ratelimit-limit-requests"] == "40"
        assert first["x-ratelimit-remaining-requests"] == "9"
        assert last["x-ratelimit-remaining-requests"] == "0"

    run(main)


def test_alone_slots_and_tokens_come_back(run: Run, settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE
    caller = new_caller(Limits(concurrent=8, tpm=40_000))

    async def main() -> None:
        for _ in range(3):
            held = await take_all(caller, 9, tokens=5_000)
            assert len(held) == 2
            for each in held:
                each.settle(0)
        (await take(caller, 5_000)).settle(30_000)
        with pytest.raises(RateLimited, match="tokens a minute"):
            await take(caller, 5_000)

    run(main)


@pytest.fixture
def server(settings: Settings) -> Iterator[ValkeyServer]:
    with valkey_server.running() as own:
        settings.REDIS_URL = own.url
        settings.CCAPI_LEASE_TTL_S = 0.6
        yield own


async def until_shared(caller_limits: Limits) -> None:
    """Until Valkey decides again."""
    async with asyncio.timeout(5):
        while (await take(new_caller(caller_limits))).is_local:  # noqa: ASYNC110 — has no event
            await asyncio.sleep(0.01)


def test_valkey_decides_again_as_soon_as_it_is_back_and_learns_what_runs(
    run: Run, server: ValkeyServer
) -> None:
    caller = new_caller(Limits(concurrent=4, rpm=100))

    async def main() -> None:
        first = await take(caller)
        assert not first.is_local
        await asyncio.sleep(0.3)  # it hears that it is the only process
        server.kill()
        await asyncio.sleep(0.05)
        alone = await take_all(caller, 9)
        assert len(alone) == 3  # the one that runs counts
        assert all(each.is_local for each in alone)
        server.start()
        await until_shared(Limits(rpm=100))
        await asyncio.sleep(0.3)  # a beat
        assert not await take_all(caller, 5)
        for each in (first, *alone):
            each.settle(0)
        assert len(await take_all(caller, 9)) == 4

    run(main)


def test_a_silent_valkey_makes_one_request_wait_and_none_after_it(
    run: Run, server: ValkeyServer, settings: Settings
) -> None:
    caller = new_caller(Limits(rpm=4_000))

    async def main() -> None:
        settings.CCAPI_VALKEY_HOT_S = 0.1
        await take(caller)
        loop = asyncio.get_running_loop()
        with server.paused():
            began = loop.time()
            assert (await take(caller)).is_local
            assert loop.time() - began < 0.5
            began = loop.time()
            for _ in range(20):
                assert (await take(caller)).is_local
            assert loop.time() - began < 0.05
        await until_shared(Limits(rpm=4_000))

    run(main)


def test_a_flush_forgets_and_breaks_nothing(run: Run, server: ValkeyServer) -> None:
    caller = new_caller(Limits(rpm=5, tpm=1_000, concurrent=9))

    async def main() -> None:
        held: list[Reservation] = await take_all(caller, 9, tokens=10)
        assert len(held) == 5
        with server.client() as client:
            client.flushall()
            client.script_flush()
        for each in held:
            each.settle(10)
        again = await take_all(caller, 9, tokens=10)
        assert len(again) == 5
        assert not any(each.is_local for each in again)

    run(main)
