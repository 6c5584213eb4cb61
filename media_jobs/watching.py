"""Waiting for news of jobs in a web process: one query for all that wait, woken through Valkey.

PostgreSQL is what counts; Valkey only makes it faster. Nobody holds a thread or a connection while
waiting.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from uuid import UUID

import msgspec
import structlog

from ccapi.core import postgres, valkey
from ccapi.core.errors import BillingUnavailable
from ccapi.core.loops import PerLoop, raise_if_cancelled
from media_jobs.states import ENDS

log = structlog.get_logger(__name__)

CHANNEL = "ccapi:jobs"
LOOK_S = 0.5
GATHER_S = 0.01  # news of many jobs come together
LOOK = """
SELECT id, state, is_async AND started IS NOT NULL, progress
FROM media_job WHERE id = ANY(%s)
"""


class Seen(msgspec.Struct, frozen=True):
    """How a job stood when it was looked at."""

    state: str
    is_underway: bool  # an asynchronous provider has it
    progress: float | None

    @property
    def is_over(self) -> bool:
        return self.state in ENDS


class Follower:
    """One who waits for news of one job."""

    def __init__(self) -> None:
        self._news: asyncio.Event = asyncio.Event()
        self._seen: Seen | None = None

    def tell(self, seen: Seen) -> None:
        if seen != self._seen:
            self._seen = seen
            self._news.set()

    def wake(self) -> None:
        """There is something else to look at."""
        self._news.set()

    async def next(self, within_s: float) -> Seen | None:
        """How it stands at the next change, the first look included; None where none came in time.

        Woken otherwise, it is how the job stood last.
        """
        try:
            async with asyncio.timeout(max(0.0, within_s)):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        return self._seen


class Watching:
    """All of one event loop."""

    def __init__(self) -> None:
        self._followers: dict[UUID, set[Follower]] = {}
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def following(self, pk: UUID) -> Iterator[Follower]:
        follower = Follower()
        self._followers.setdefault(pk, set()).add(follower)
        self._start()
        self._wake.set()
        try:
            yield follower
        finally:
            followers = self._followers[pk]
            followers.discard(follower)
            if not followers:
                del self._followers[pk]

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._listening is None or self._listening.done():
            self._listening = valkey.subscribe(CHANNEL, self._heard)
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look_again(), name="media_jobs.watching")

    def _heard(self, message: bytes) -> None:
        if not message or any(pk.hex.encode() == message for pk in self._followers):
            self._wake.set()

    async def _look_again(self) -> None:
        """As long as anybody waits."""
        while self._followers:
            raise_if_cancelled()
            self._wake.clear()
            try:
                await self._look()
            except BillingUnavailable:
                log.info("jobs.not_watched")  # PostgreSQL is away; those who wait go on waiting
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
                await asyncio.sleep(GATHER_S)

    async def _look(self) -> None:
        for pk, *columns in await postgres.fetch_all(LOOK, (list(self._followers),)):
            for follower in self._followers.get(pk, ()):
                follower.tell(Seen(*columns))

    def close(self) -> None:
        for task in (self._looking, self._listening):
            if task is not None:
                task.cancel()


_watchings = PerLoop(Watching)
current = _watchings.get


def close() -> None:
    """Stop listening (at shutdown)."""
    found = _watchings.pop()
    if found is not None:
        found.close()
