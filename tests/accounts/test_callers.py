"""Who calls: on a real PostgreSQL and Valkey, over event loops and processes."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from threading import Event, Thread
from typing import Any, TypeVar

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import Settings

from accounts import api, callers, keys
from accounts.models import ApiKey, KeyRevision, Organization
from accounts.types import Limits, NewKey
from ccapi.core import postgres, valkey
from ccapi.core.errors import (
    AccountSuspended,
    BillingUnavailable,
    KeyExpired,
    KeyRevoked,
    Unauthorized,
)
from tests.databases import OwnDatabase, leave

pytestmark = pytest.mark.usefixtures("own_database")

Result = TypeVar("Result")
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def key(own_database: OwnDatabase) -> NewKey:
    organization = api.create_organization("Example", "owner@example.com")
    return api.create_key(organization, name="first", allowed_models=["sandbox/echo"])


@pytest.fixture
def valkey_away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:  # noqa: ANN401
    settings.REDIS_URL = NOWHERE
    monkeypatch.setattr(valkey, "_publisher", None)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def and_close() -> None:
        try:
            await main
        finally:
            await postgres.close()
            await valkey.close()

    asyncio.run(and_close())


async def in_thread(function: Callable[..., Result], *args: object) -> Result:
    """As Django's synchronous code runs beside an event loop, on a connection of its own."""

    def and_close() -> Result:
        try:
            return function(*args)
        finally:
            leave()

    return await asyncio.to_thread(and_close)


async def refused_after(secret: str, error: type[Exception], *, limit_s: float = 3.0) -> float:
    """Seconds until this key is refused so, asking all the time."""
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        try:
            await api.authenticate(secret)
        except error:
            return time.monotonic() - start
        await asyncio.sleep(0.005)
    raise AssertionError(f"still served after {limit_s} s")


def test_a_key_gives_its_caller(key: NewKey) -> None:
    async def main() -> None:
        for _ in range(2):  # asked, then remembered
            caller = await api.authenticate(key.secret)
            assert (caller.key, caller.organization) == (key.key, key.organization)
            assert caller.allowed_models == {"sandbox/echo"}
            assert caller.may_call("sandbox/echo")
            assert not caller.may_call("openai/gpt-4o-mini")

    run(main())


def test_unknown_and_malformed_keys_get_the_same_answer() -> None:
    async def main() -> None:
        with pytest.raises(Unauthorized) as unknown:
            await api.authenticate(keys.make().text)
        with pytest.raises(Unauthorized) as malformed:
            await api.authenticate("sk-cc-nonsense")
        assert unknown.value.body() == malformed.value.body()

    run(main())


def test_a_malformed_key_is_refused_without_asking_postgresql(own_database: OwnDatabase) -> None:
    async def main() -> None:
        with pytest.raises(Unauthorized):
            await api.authenticate(keys.make().text[:-1] + "!")
        with pytest.raises(BillingUnavailable):
            await api.authenticate(keys.make().text)

    with own_database.away():
        run(main())


def test_an_expired_key_is_refused_from_that_moment_on(key: NewKey) -> None:
    ends = timezone.now() + timedelta(seconds=1)
    short = api.create_key(key.organization, name="short", expires_at=ends)

    async def main() -> None:
        await api.authenticate(short.secret)
        await refused_after(short.secret, KeyExpired)
        assert 0 <= (timezone.now() - ends).total_seconds() < 1

    run(main())


def test_a_suspended_organization_is_refused_and_served_again_when_reactivated(
    key: NewKey,
) -> None:
    def set_status(status: str) -> None:
        Organization.objects.update(status=status)

    async def main() -> None:
        await api.authenticate(key.secret)
        await in_thread(set_status, "suspended")
        assert await refused_after(key.secret, AccountSuspended) < 1
        await in_thread(set_status, "active")
        await asyncio.sleep(1)
        await api.authenticate(key.secret)

    run(main())


def test_a_changed_limit_is_seen_within_a_second(key: NewKey) -> None:
    usual = api.default_limits()
    organization, own = Limits(rpm=5, tpm=6), Limits(concurrent=7)

    def change() -> None:
        api.set_limits(key.organization, organization)
        ApiKey.objects.update(concurrent=7)

    async def main() -> None:
        before = await api.authenticate(key.secret)
        assert before.limits == usual
        assert not before.key_limits
        await in_thread(change)
        changed_at = time.monotonic()
        caller = before
        while caller.limits != organization or caller.key_limits != own:
            assert time.monotonic() - changed_at < 1
            await asyncio.sleep(0.01)
            caller = await api.authenticate(key.secret)

    run(main())


def test_a_revoked_key_is_told_so(key: NewKey) -> None:
    api.revoke_key(key.key)

    async def main() -> None:
        with pytest.raises(KeyRevoked):
            await api.authenticate(key.secret)

    run(main())


def test_a_remembered_answer_needs_no_postgresql(own_database: OwnDatabase, key: NewKey) -> None:
    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(callers.POLL_S)
        known = await api.authenticate(key.secret)
        with own_database.away():
            for _ in range(1000):
                assert await api.authenticate(key.secret) == known

    run(main())


@pytest.mark.parametrize("is_away", [False, True], ids=["valkey", "no-valkey"])
def test_revocation_acts_within_a_second_on_every_event_loop(
    key: NewKey, is_away: bool, request: pytest.FixtureRequest
) -> None:
    if is_away:
        request.getfixturevalue("valkey_away")
    took: list[float] = []
    warm = [Event(), Event()]
    revoked = Event()

    def one(ready: Event) -> None:
        async def main() -> None:
            await api.authenticate(key.secret)
            await asyncio.sleep(0.3)
            await api.authenticate(key.secret)
            ready.set()
            await asyncio.to_thread(revoked.wait)
            took.append(await refused_after(key.secret, KeyRevoked))

        run(main())

    threads = [Thread(target=one, args=(ready,)) for ready in warm]
    for thread in threads:
        thread.start()
    for ready in warm:
        assert ready.wait(10)

    api.revoke_key(key.key)
    revoked.set()
    for thread in threads:
        thread.join()

    assert len(took) == 2
    assert max(took) < 1.0


def test_a_message_on_valkey_acts_without_waiting_for_the_poll(
    key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "POLL_S", 60.0)

    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(0.5)  # the subscriber connects
        await api.authenticate(key.secret)
        await in_thread(api.revoke_key, key.key)
        assert await refused_after(key.secret, KeyRevoked) < 1

    run(main())


OTHER_PROCESS = """
import asyncio, sys, time
import django
django.setup()
from accounts import api
from ccapi.core.errors import KeyRevoked

async def main():
    secret = sys.stdin.readline().strip()
    await api.authenticate(secret)
    print("served", flush=True)
    while True:
        try:
            await api.authenticate(secret)
        except KeyRevoked:
            print(time.time(), flush=True)
            return
        await asyncio.sleep(0.005)

asyncio.run(main())
"""


@pytest.mark.parametrize("redis_url", [None, NOWHERE], ids=["valkey", "no-valkey"])
def test_revocation_acts_within_a_second_in_every_process(
    own_database: OwnDatabase, key: NewKey, redis_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", own_database.url)
    monkeypatch.setenv("REDIS_URL", redis_url or settings.REDIS_URL)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", settings.SETTINGS_MODULE)
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdin
            assert process.stdout
            process.stdin.write(key.secret + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "served\n"
        time.sleep(0.3)

        api.revoke_key(key.key)
        revoked_at = time.time()

        for process in processes:
            assert process.stdout
            assert float(process.stdout.readline()) - revoked_at < 1.0
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_change_by_plain_sql_acts_too(own_database: OwnDatabase, key: NewKey) -> None:
    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(0.2)
        async with await psycopg.AsyncConnection.connect(own_database.url) as connection:
            await connection.execute("UPDATE api_key SET revoked_at = now()")
        assert await refused_after(key.secret, KeyRevoked) < 1

    run(main())


def test_while_postgresql_is_away_a_known_caller_is_served_and_a_stranger_told_to_wait(
    own_database: OwnDatabase, key: NewKey, settings: Settings
) -> None:
    settings.CCAPI_KEY_CACHE_S = 0.05
    other = api.create_key(key.organization, name="other")

    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(callers.POLL_S)
        await api.authenticate(key.secret)
        with own_database.away():
            await asyncio.sleep(0.1)  # no longer fresh
            assert (await api.authenticate(key.secret)).key == key.key
            for stranger in (other.secret, keys.make().text):
                with pytest.raises(BillingUnavailable) as refusal:
                    await api.authenticate(stranger)
                assert refusal.value.status == 503
        await asyncio.sleep(0.3)
        await api.authenticate(other.secret)

    run(main())


def test_what_is_older_than_a_minute_does_not_stand_in_for_postgresql(
    own_database: OwnDatabase,
    key: NewKey,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.CCAPI_KEY_CACHE_S = 0.05
    monkeypatch.setattr(callers, "STALE_S", 0.1)

    async def main() -> None:
        await api.authenticate(key.secret)
        with own_database.away():
            await asyncio.sleep(0.2)
            with pytest.raises(BillingUnavailable):
                await api.authenticate(key.secret)

    run(main())


def test_what_is_known_to_have_changed_does_not_stand_in_for_postgresql(
    own_database: OwnDatabase, key: NewKey
) -> None:
    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(callers.POLL_S)
        await api.authenticate(key.secret)
        with own_database.away():
            callers.memory().observe(10**6)  # what a message on Valkey does
            with pytest.raises(BillingUnavailable):
                await api.authenticate(key.secret)

    run(main())


def test_a_hundred_callers_with_one_key_ask_postgresql_once(
    key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_statements(monkeypatch)

    async def main() -> None:
        await asyncio.gather(*(api.authenticate(key.secret) for _ in range(100)))

    run(main())
    assert asked.count(callers.FIND) == 1


def test_the_first_caller_leaving_fails_nobody_who_waits_for_the_same_answer(key: NewKey) -> None:
    async def main() -> None:
        first = asyncio.create_task(api.authenticate(key.secret))
        second = asyncio.create_task(api.authenticate(key.secret))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).key == key.key

    run(main())


def test_a_stranger_who_insists_asks_postgresql_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = count_statements(monkeypatch)
    stranger = keys.make().text

    async def main() -> None:
        callers.memory()
        for _ in range(50):
            with pytest.raises(Unauthorized):
                await api.authenticate(stranger)

    run(main())
    assert asked.count(callers.FIND) <= 2  # again after the first look at the revision


def count_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that go out from now on; they still run."""
    asked: list[str] = []
    real: Callable[..., Awaitable[Any]] = postgres.fetch_one

    async def fetch_one(sql: str, *args: Any) -> Any:  # noqa: ANN401
        asked.append(sql)
        return await real(sql, *args)

    monkeypatch.setattr(postgres, "fetch_one", fetch_one)
    return asked


def test_an_answer_remembered_under_a_wrong_name_is_not_believed(key: NewKey) -> None:
    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(0.1)
        await api.authenticate(key.secret)
        stranger = keys.make().text
        remembered = callers.memory()._entries
        remembered[callers.mac_of(stranger)] = remembered[callers.mac_of(key.secret)]
        with pytest.raises(Unauthorized):
            await api.authenticate(stranger)

    run(main())


def test_memory_is_bounded(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "REMEMBERED_MAX", 3)
    monkeypatch.setattr(callers, "UNKNOWN_MAX", 3)
    secrets = [api.create_key(key.organization, name=str(i)).secret for i in range(5)]

    async def main() -> None:
        for secret in secrets:
            await api.authenticate(secret)
            with pytest.raises(Unauthorized):
                await api.authenticate(keys.make().text)
        assert len(callers.memory()._entries) == 3
        assert len(callers.memory()._unknown) <= 3

    run(main())


def test_last_use_is_written_in_the_background_once_a_minute(key: NewKey) -> None:
    def last_used() -> Any:  # noqa: ANN401
        return ApiKey.objects.get(public_id=key.key).last_used_at

    def revision() -> int:
        return KeyRevision.objects.get().revision

    before = revision()

    async def main() -> None:
        await api.authenticate(key.secret)
        await asyncio.sleep(2 * callers.POLL_S)
        first = await in_thread(last_used)
        assert abs((timezone.now() - first).total_seconds()) < 3
        callers.memory().observe(-1)  # asks PostgreSQL again
        await api.authenticate(key.secret)
        await asyncio.sleep(2 * callers.POLL_S)
        assert await in_thread(last_used) == first

    run(main())
    assert revision() == before  # being used is no change that anybody must hear of


def test_nothing_of_a_secret_is_logged_or_shown(
    key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        caller = await api.authenticate(key.secret)
        assert key.secret[6:] not in repr(caller)
        with pytest.raises(Unauthorized) as refusal:
            await api.authenticate(key.secret[:-1] + "_")
        assert key.secret[6:20] not in str(refusal.value.body())

    run(main())
    assert key.secret[6:] not in repr(key)
    assert key.secret[6:] not in "".join(capsys.readouterr())
