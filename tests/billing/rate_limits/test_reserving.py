"""Reserving on a real Valkey: all limits or none, refill, corrections, leases."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import cast

import pytest
import redis
from msgspec.structs import replace
from pytest_django import Settings

from accounts.types import Caller, Limits
from billing.rate_limits import Reservation, reserve, reserve_upstream
from billing.rate_limits.subjects import of_caller
from catalog.types import Provider
from ccapi.core import ids, valkey_line
from ccapi.core.errors import (
    ConcurrentRequests,
    RateLimited,
    RequestsPerMinute,
    TokensPerMinute,
    UpstreamRateLimited,
)
from tests.billing.rate_limits.conftest import Run, new_caller


@pytest.fixture
def valkey(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


async def take(caller: Caller, tokens: int = 0, *, stated: int = 0) -> Reservation:
    return await reserve(caller, ids.uuid7(), tokens, stated=stated)


async def take_all(caller: Caller, times: int, tokens: int = 0) -> list[Reservation]:
    """As many as are admitted of so many at once."""
    answers = await asyncio.gather(
        *(take(caller, tokens) for _ in range(times)), return_exceptions=True
    )
    for answer in answers:
        assert isinstance(answer, Reservation | RateLimited), answer
    return [answer for answer in answers if isinstance(answer, Reservation)]


def let_pass(valkey: redis.Redis, caller: Caller, seconds: float) -> None:
    """Move everything that Valkey knows of this caller into the past."""
    for subject in of_caller(caller):
        if valkey.exists(subject.meters):
            valkey.hincrbyfloat(subject.meters, "at", -seconds * 1_000_000)
        for lease in cast(list[bytes], valkey.zrange(subject.slots, 0, -1)):
            valkey.zincrby(subject.slots, -seconds * 1000, lease)


def named(caller: Caller) -> list[str]:
    return [name for each in of_caller(caller) for name in (each.meters, each.slots)]


def told(reservation: Reservation) -> dict[str, str]:
    return {name.removeprefix("x-ratelimit-"): text for name, text in reservation.told().items()}


async def settled() -> None:
    """What was told to the line before this has been done."""
    await valkey_line.line().call(valkey_line.Script("return 1"), [], [])


def test_a_minute_s_requests_may_come_at_once_and_not_one_more(run: Run) -> None:
    async def main() -> None:
        for limit in (1, 7, 600):
            caller = new_caller(Limits(rpm=limit))
            assert len(await take_all(caller, limit + 50)) == limit

    run(main)


def test_a_request_comes_free_each_time_its_share_of_the_minute_has_passed(
    run: Run, valkey: redis.Redis
) -> None:
    caller = new_caller(Limits(rpm=6))

    async def main() -> None:
        await take_all(caller, 6)
        with pytest.raises(RequestsPerMinute) as refused:
            await take(caller)
        assert refused.value.retry_after == pytest.approx(10, abs=0.5)
        let_pass(valkey, caller, 9)
        assert not await take_all(caller, 3)
        let_pass(valkey, caller, 1.01)
        assert len(await take_all(caller, 3)) == 1
        let_pass(valkey, caller, 600)
        assert len(await take_all(caller, 20)) == 6

    run(main)


def test_a_refused_request_takes_nothing_from_any_limit(run: Run, valkey: redis.Redis) -> None:
    async def main() -> None:
        for limits, key_limits in (
            (Limits(rpm=100, tpm=1000, concurrent=9), Limits(rpm=2)),
            (Limits(rpm=2), Limits(rpm=100, tpm=1000, concurrent=9)),
            (Limits(rpm=100, tpm=1000, concurrent=9), Limits(tpm=20)),
            (Limits(rpm=100, tpm=1000, concurrent=2), Limits(rpm=100, tpm=1000)),
        ):
            caller = new_caller(limits, key_limits)
            assert len(await take_all(caller, 2, tokens=10)) == 2
            before = [valkey.dump(name) for name in named(caller)]
            assert not await take_all(caller, 20, tokens=10)
            assert [valkey.dump(name) for name in named(caller)] == before

    run(main)


def test_each_limit_has_its_own_code_and_says_whose_it_is(run: Run) -> None:
    cases: list[tuple[Limits, Limits, type[RateLimited], str, str]] = [
        (Limits(rpm=1), Limits(), RequestsPerMinute, "requests_per_minute", "organization"),
        (Limits(), Limits(rpm=1), RequestsPerMinute, "requests_per_minute", "key"),
        (Limits(tpm=100), Limits(), TokensPerMinute, "tokens_per_minute", "organization"),
        (Limits(), Limits(tpm=100), TokensPerMinute, "tokens_per_minute", "key"),
        (Limits(concurrent=1), Limits(), ConcurrentRequests, "concurrent_requests", "organization"),
        (Limits(), Limits(concurrent=1), ConcurrentRequests, "concurrent_requests", "key"),
    ]

    async def main() -> None:
        for limits, key_limits, kind, code, scope in cases:
            caller = new_caller(limits, key_limits)
            await take(caller, 100)
            with pytest.raises(kind) as refused:
                await take(caller, 100)
            assert refused.value.code == code
            assert refused.value.status == 429
            assert refused.value.details["scope"] == scope
            assert int(refused.value.http_headers()["retry-after"]) >= 1

    run(main)


def test_of_two_limits_that_refuse_the_longer_wait_is_told(run: Run) -> None:
    caller = new_caller(Limits(rpm=1, concurrent=1))

    async def main() -> None:
        await take(caller)
        with pytest.raises(RequestsPerMinute) as refused:
            await take(caller)
        assert refused.value.retry_after == pytest.approx(60, abs=1)

    run(main)


def test_tokens_that_were_not_used_go_back(run: Run) -> None:
    caller = new_caller(Limits(tpm=150_000))

    async def main() -> None:
        first = await take(caller, 100_000)
        assert told(first)["remaining-tokens"] == "50000"
        with pytest.raises(TokensPerMinute):
            await take(caller, 100_000)
        first.settle(50)
        second = await take(caller, 100_000)
        assert int(told(second)["remaining-tokens"]) == pytest.approx(49_950, abs=500)

    run(main)


def test_tokens_beyond_the_estimate_are_paid_back_in_time(run: Run, valkey: redis.Redis) -> None:
    caller = new_caller(Limits(tpm=1_000))

    async def main() -> None:
        (await take(caller, 100)).settle(3_000)
        with pytest.raises(TokensPerMinute) as refused:
            await take(caller, 100)
        # 3,100 of 1,000 a minute: 2.1 minutes.
        assert refused.value.retry_after == pytest.approx(126, abs=1)
        let_pass(valkey, caller, 125)
        assert not await take_all(caller, 1, tokens=100)
        let_pass(valkey, caller, 2)
        assert len(await take_all(caller, 1, tokens=100)) == 1

    run(main)


def test_a_request_larger_than_a_minute_waits_for_the_whole_minute(run: Run) -> None:
    caller = new_caller(Limits(tpm=1_000))

    async def main() -> None:
        first = await take(caller, 5_000)
        with pytest.raises(TokensPerMinute):
            await take(caller, 1)
        first.settle(0)
        assert await take(caller, 5_000)

    run(main)


def test_a_client_that_asks_for_more_than_a_minute_is_told_that_it_cannot_be(run: Run) -> None:
    caller = new_caller(Limits(tpm=1_000), Limits(rpm=5))

    async def main() -> None:
        with pytest.raises(TokensPerMinute, match="Lower max_tokens"):
            await take(caller, 1_100, stated=1_001)
        assert told(await take(caller, 1_000, stated=1_000))["remaining-requests"] == "4"

    run(main)


def test_settling_twice_gives_back_once(run: Run) -> None:
    caller = new_caller(Limits(tpm=1_000, concurrent=2))

    async def main() -> None:
        first, _second = await take(caller, 400), await take(caller, 400)
        for _ in range(3):
            first.settle(0)
        third = await take(caller, 0)
        assert int(told(third)["remaining-tokens"]) == pytest.approx(600, abs=20)
        assert not await take_all(caller, 1)

    run(main)


def test_slots_are_exact_and_come_back(run: Run, valkey: redis.Redis) -> None:
    caller = new_caller(Limits(concurrent=3), Limits(concurrent=5))

    async def main() -> None:
        for _ in range(3):
            held = await take_all(caller, 50)
            assert len(held) == 3
            for each in held:
                each.settle(0)
        await settled()
        assert not valkey.exists(*named(caller))

    run(main)


def test_a_slot_whose_client_left_is_free_though_its_answer_goes_on(run: Run) -> None:
    caller = new_caller(Limits(tpm=1_000, concurrent=1))

    async def main() -> None:
        first = await take(caller, 500)
        first.leave()
        second = await take(caller, 100)
        assert int(told(second)["remaining-tokens"]) == pytest.approx(400, abs=20)
        first.settle(0)
        assert not await take_all(caller, 1)

    run(main)


def test_a_waiter_that_is_cancelled_leaves_nothing_behind(run: Run, valkey: redis.Redis) -> None:
    caller = new_caller(Limits(tpm=1_000, concurrent=1))

    async def main() -> None:
        (await take(caller)).settle(0)  # the connection is there
        waiting = asyncio.create_task(take(caller, 1_000))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held = await take(caller, 900)
        assert held.is_local is False

    run(main)


def test_leases_of_a_living_process_are_renewed_even_after_a_flush(
    run: Run, valkey: redis.Redis, settings: Settings
) -> None:
    settings.CCAPI_LEASE_TTL_S = 0.3
    caller = new_caller(Limits(concurrent=1))

    async def main() -> None:
        held = await take(caller)
        await asyncio.sleep(0.8)
        assert not await take_all(caller, 1)
        valkey.delete(*named(caller))
        await asyncio.sleep(0.3)
        assert not await take_all(caller, 1)
        held.settle(0)
        assert len(await take_all(caller, 2)) == 1

    run(main)


KILLED = """
import asyncio, os, sys
import django
django.setup()
from accounts.types import Caller, Limits
from billing.rate_limits import reserve
from ccapi.core import ids

async def main():
    caller = Caller(organization_id=1, organization=sys.argv[1], key_id=1, key="key_1",
                    limits=Limits(concurrent=2))
    await reserve(caller, ids.uuid7(), 0)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_leases_of_a_killed_process_end_by_themselves(run: Run, settings: Settings) -> None:
    settings.CCAPI_LEASE_TTL_S = 1.0
    caller = new_caller(Limits(concurrent=2))
    environment = {
        "DJANGO_SETTINGS_MODULE": "ccapi.settings",
        "REDIS_URL": settings.REDIS_URL,
        "CCAPI_LEASE_TTL_S": "1.0",
        "CCAPI_VALKEY_HOT_S": "1.0",
    }
    other = subprocess.Popen(
        [sys.executable, "-c", KILLED, caller.organization],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        async def main() -> None:
            assert len(await take_all(caller, 9)) == 1
            await asyncio.sleep(1.5)  # it lives, and so does its lease
            assert not await take_all(caller, 1)
            other.kill()
            killed = time.monotonic()
            while not (found := await take_all(caller, 9)):
                assert time.monotonic() - killed < 5
                await asyncio.sleep(0.02)
            assert len(found) == 1
            assert time.monotonic() - killed < 1.5

        run(main)
    finally:
        other.kill()
        other.wait(10)


def test_a_changed_limit_holds_at_once_in_both_directions(run: Run) -> None:
    async def main() -> None:
        caller = new_caller(Limits(rpm=10, tpm=10_000))
        await take_all(caller, 10, tokens=500)
        # Other values of the same caller, as its process sees them after the change.
        lower = replace(caller, limits=Limits(rpm=2, tpm=1_000))
        higher = replace(caller, limits=Limits(rpm=30, tpm=10_000))
        with pytest.raises(RateLimited) as refused:
            await take(lower, 10)
        # Shrunk with the limit: never more than a minute to wait.
        assert refused.value.retry_after is not None
        assert refused.value.retry_after <= 60
        assert len(await take_all(higher, 50)) == 20  # the ten that were made count

    run(main)


def test_headers_tell_the_tightest_of_key_and_organization(run: Run) -> None:
    caller = new_caller(Limits(rpm=100, tpm=1_000), Limits(rpm=10, tpm=50_000))

    async def main() -> None:
        reservation = await take(caller, 250)
        assert told(reservation) == {
            "limit-requests": "10",
            "remaining-requests": "9",
            "reset-requests": "6s",
            "limit-tokens": "1000",
            "remaining-tokens": "750",
            "reset-tokens": "15s",
        }

    run(main)


def test_a_refusal_carries_the_same_headers(run: Run) -> None:
    caller = new_caller(Limits(rpm=1, tpm=1_000))

    async def main() -> None:
        await take(caller, 100)
        with pytest.raises(RequestsPerMinute) as refused:
            await take(caller, 100)
        headers = refused.value.http_headers()
        assert headers["x-ratelimit-limit-requests"] == "1"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert int(headers["x-ratelimit-remaining-tokens"]) >= 900

    run(main)


def test_without_limits_valkey_is_not_asked(run: Run, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    async def main() -> None:
        for _ in range(3):
            reservation = await take(new_caller(), 10**9)
            assert reservation.headers() == []
            reservation.leave()
            reservation.settle(5)
        assert not valkey_line.line().is_away  # nobody has tried

    run(main)


def provider(limits: Limits) -> Provider:
    name = f"limited-{ids.uuid7().hex}"
    return Provider(
        id=1,
        name=name,
        display_name=name,
        protocol="openai",
        base_url="http://127.0.0.1:1",
        limits=limits,
    )


def test_what_a_provider_grants_is_shared_by_all_callers(run: Run) -> None:
    async def main() -> None:
        for limits in (Limits(rpm=2), Limits(tpm=20), Limits(concurrent=2)):
            limited = provider(limits)
            held = [await reserve_upstream(limited, ids.uuid7(), 10) for _ in range(2)]
            with pytest.raises(UpstreamRateLimited) as refused:
                await reserve_upstream(limited, ids.uuid7(), 10)
            assert refused.value.retry_after is not None
            for each in held:
                each.settle(0)
            if limits.rpm:
                continue
            assert await reserve_upstream(limited, ids.uuid7(), 10)

    run(main)
