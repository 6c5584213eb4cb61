"""Calling the offers of a job in turn, until one delivers or takes the work.

What moves on, what is repeated and what is waited for is the walk's (`gateway.routing`): one board
of breakers, one order of tries. A worker's calls meet the provider's own limits as requests do; an
order at an asynchronous provider takes a place there that it keeps beyond its call
(`media_jobs.places`).
"""

import asyncio
from typing import cast

import msgspec
import structlog
from django.conf import settings

from billing.api import Reservation, reserve_upstream
from billing.types import Attempt
from ccapi.core import clock, metrics
from ccapi.core.errors import GatewayError, UnsupportedParameter, UpstreamRateLimited
from gateway.protocols.base import UpstreamFailure
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.blame import OWN_LIMIT
from gateway.routing.plan import Candidate
from gateway.routing.tries import Tries, Try
from gateway.transport.failures import AttemptFailed, failed
from media_jobs import places
from media_jobs.drivers.base import DriverFailed
from media_jobs.models import Job
from media_jobs.plan import Offered
from media_jobs.threads import in_thread
from media_jobs.types import Delivered, ImageRequest, Started

log = structlog.get_logger(__name__)

GRACE_S = 1.0  # a driver ends its call itself, and says what it knows of it


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An offer has delivered, or has taken the work; it knows nothing of what is `dropped`."""

    offered: Offered
    key: str
    result: Delivered | Started
    attempts: tuple[Attempt, ...]
    dropped: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody did. `retry_s`: only our own limits stood in the way, and for so long.

    `full` is the first provider that had no place free: the job can wait there for its turn.
    `tried` are those attempts that were calls.
    """

    error: GatewayError
    attempts: tuple[Attempt, ...]
    retry_s: float | None = None
    full: int | None = None

    @property
    def tried(self) -> tuple[Attempt, ...]:
        return tuple(each for each in self.attempts if each.status)


class Calls:
    """The calls of one performance."""

    def __init__(self, job: Job, request: ImageRequest, offers: tuple[Offered, ...]) -> None:
        self._job = job
        self._request = request
        self._attempts: list[Attempt] = []
        self._refusal: UnsupportedParameter | None = None
        self._full: int | None = None
        self._board = boards.current()
        # Tries and the board look at a candidate's model and offer alone.
        candidates = cast("tuple[Candidate, ...]", offers)
        self._tries = Tries(
            candidates, self._board, now=clock.monotonic(), on_skip=self._note_skipped
        )

    async def run(self, *, notify_url: str) -> Answered | Refused:
        until = clock.monotonic() + settings.CCAPI_JOB_CALL_S
        while (turn := self._tries.next(clock.monotonic())) is not None:
            if turn.pause_s:
                await asyncio.sleep(turn.pause_s)
            within_s = min(self._tries.until, until) - clock.monotonic()
            if within_s <= 0:
                break
            try:
                answered = await self._turn(turn, within_s=within_s, notify_url=notify_url)
            finally:
                if turn.probes:
                    self._board.released(turn)
            if answered is not None:
                return answered
        return self._refused()

    async def _turn(self, turn: Try, *, within_s: float, notify_url: str) -> Answered | None:
        offered = cast("Offered", turn.candidate)
        turn.since = clock.monotonic()
        try:
            dropped = offered.driver.check(self._request, offered.target(turn.key))
        except UnsupportedParameter as error:
            # Another one may be able to do it.
            self._note(offered, status=error.status, since=turn.since, error=error.code)
            self._refusal = error
            return None
        if turn.probes and not await self._board.claim(turn):
            self._tries.pass_over(turn, clock.monotonic())
            return None
        try:
            result = await self._call(offered, turn, within_s=within_s, notify_url=notify_url)
        except AttemptFailed as failure:
            self._note_failure(offered, turn, failure)
            self._tries.failed(turn, failure, clock.monotonic())
            cause = failure.__cause__
            if not isinstance(cause, DriverFailed) or cause.unheard is None:
                return None
            # It may have the work: nobody else is asked until that is known.
            return self._answered(offered, turn, cause.unheard, dropped)
        self._board.succeeded(turn)
        self._note(offered, status=200, since=turn.since)
        return self._answered(offered, turn, result, dropped)

    def _answered(
        self, offered: Offered, turn: Try, result: Delivered | Started, dropped: tuple[str, ...]
    ) -> Answered:
        return Answered(
            offered=offered,
            key=turn.key,
            result=result,
            attempts=tuple(self._attempts),
            dropped=dropped,
        )

    async def _call(
        self, offered: Offered, turn: Try, *, within_s: float, notify_url: str
    ) -> Delivered | Started:
        """Raises: AttemptFailed."""
        if not offered.driver.is_async:
            return await self._ordered(offered, turn, within_s=within_s, notify_url="")
        await self._take_place(offered)
        try:
            return await self._ordered(offered, turn, within_s=within_s, notify_url=notify_url)
        except AttemptFailed as failure:
            if not _may_be_at_work(failure):
                await in_thread(lambda: places.leave(self._job))
            raise

    async def _take_place(self, offered: Offered) -> None:
        """Raises: AttemptFailed, as the provider's own 429."""
        provider = offered.offer.provider
        if not await in_thread(lambda: places.take(self._job, provider)):
            self._full = self._full or provider.id
            # Without a time to come again: a turn is not waited for in here.
            raise _limited("All places at the provider are taken.", None)

    async def _ordered(
        self, offered: Offered, turn: Try, *, within_s: float, notify_url: str
    ) -> Delivered | Started:
        """Raises: AttemptFailed."""
        granted = await self._granted(offered)
        total_s = offered.offer.provider.timeouts.total
        try:
            async with asyncio.timeout(min(within_s, total_s + GRACE_S)):
                result = await offered.driver.start(
                    self._request,
                    offered.target(turn.key),
                    reference=self._job.public_id,
                    notify_url=notify_url,
                )
        except DriverFailed as error:
            raise error.as_attempt() from error
        except TimeoutError as error:
            raise failed("timeout", "The provider did not answer in time.") from error
        finally:
            granted.settle(0)
        if isinstance(result, Delivered) and not result.images:
            raise failed("server", "The provider's answer had no picture in it.")
        return result

    async def _granted(self, offered: Offered) -> Reservation:
        """Take this call of what the provider grants us. Raises: AttemptFailed, as its own 429."""
        provider = offered.offer.provider
        if offered.driver.is_async:  # how many at once is a matter of places
            limits = msgspec.structs.replace(provider.limits, concurrent=0)
            provider = msgspec.structs.replace(provider, limits=limits)
        try:
            return await reserve_upstream(provider, self._job.pk, 0)
        except UpstreamRateLimited as error:
            raise _limited(error.message, error.retry_after) from error

    def _refused(self) -> Refused:
        failures = self._tries.failures
        if self._refusal is not None and not failures and not self._tries.passed:
            return Refused(error=self._refusal, attempts=tuple(self._attempts))
        now = clock.monotonic()
        passed = [(each.standing.cause, each.standing.until - now) for each in self._tries.passed]
        error = failover.final_error(failures, passed)
        is_ours = bool(failures) and all(each.failure.code == OWN_LIMIT for each in failures)
        return Refused(
            error=error,
            attempts=tuple(self._attempts),
            retry_s=error.retry_after if is_ours and not passed else None,
            full=self._full if all(map(failover.moves_on, failures)) else None,
        )

    def _note_failure(self, offered: Offered, turn: Try, failure: AttemptFailed) -> None:
        if failure.failure.code == OWN_LIMIT:
            self._note_skipped(turn.candidate, OWN_LIMIT)
            return
        code = failover.error_for(failure, all_rate_limited=True).code
        self._note(offered, status=failover.status_of(failure), since=turn.since, error=code)

    def _note_skipped(self, candidate: Candidate, reason: str) -> None:
        provider = candidate.offer.provider.name
        metrics.SKIPS.add((provider, reason))
        self._attempts.append(
            Attempt(
                model=candidate.model.id, provider=provider, status=0, latency_ms=0, error=reason
            )
        )

    def _note(self, offered: Offered, *, status: int, since: float, error: str = "") -> None:
        provider = offered.offer.provider.name
        metrics.ATTEMPTS.add((provider, error or "ok"))
        self._attempts.append(
            Attempt(
                model=offered.model.id,
                provider=provider,
                status=status,
                latency_ms=clock.elapsed_ms(since),
                error=error,
            )
        )


def _limited(message: str, retry_after: float | None) -> AttemptFailed:
    """A limit of our own, as the provider's 429."""
    return AttemptFailed(
        UpstreamFailure(
            kind="rate_limited",
            status=UpstreamRateLimited.status,
            message=message,
            code=OWN_LIMIT,
            retry_after=retry_after,
        )
    )


def _may_be_at_work(failure: AttemptFailed) -> bool:
    """Whether the provider may have taken the order all the same."""
    cause = failure.__cause__
    return isinstance(cause, TimeoutError) or (isinstance(cause, DriverFailed) and cause.is_unknown)


def attempts_detail(attempts: object) -> list[dict[str, object]]:
    """Attempts as `error.details.attempts` tells them, in the words of the chat routes."""
    return [
        {
            "model": tried.model,
            "provider": tried.provider,
            "status": tried.status,
            "error": tried.error,
            "latency_ms": tried.latency_ms,
        }
        for tried in msgspec.convert(attempts, list[Attempt])
    ]
