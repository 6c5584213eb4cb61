"""Asking an asynchronous provider how the work stands, and when to ask again.

A provider that cannot be asked just now says nothing of the work: its outcome is unknown, and stays
so until it can be asked or the job's time is over.
"""

import asyncio

import msgspec
import structlog

from gateway.protocols.base import UpstreamFailure
from media_jobs.drivers.base import Driver, DriverFailed, Target
from media_jobs.types import Delivered, Pending, Started

log = structlog.get_logger(__name__)

FIRST_S, GROWTH, LONGEST_S = 1.0, 1.5, 10.0
CANCEL_S = 10.0
ASK_S = 60.0  # pictures that are ready may be large


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored on the job: who has the work, with which key, under which name."""

    offer: int
    key_id: str
    upstream: Started


class Unknown(msgspec.Struct, frozen=True):
    """It cannot be asked now."""


class Failed(msgspec.Struct, frozen=True):
    """The work itself failed."""

    failure: DriverFailed

    @property
    def is_given_up(self) -> bool:
        """By somebody, rather than failed by itself."""
        return self.failure.failure.code == "canceled"


def never_heard_of() -> Failed:
    """The order was not answered, and nothing was told of it since."""
    message = "The provider did not say whether it took the order."
    return Failed(DriverFailed(UpstreamFailure(kind="timeout", status=0, message=message)))


Found = Delivered | Pending | Unknown | Failed


def pause_s(polls: int) -> float:
    """How long to wait before the next question."""
    return float(min(LONGEST_S, FIRST_S * GROWTH**polls))


async def ask(driver: Driver, started: Started, target: Target, *, gives_up: bool) -> Found:
    """How the work stands. Where it is given up, the provider is told so before it is asked.

    What it delivered all the same, before it heard of it, comes back as delivered.
    """
    if gives_up:
        await _cancel(driver, started, target)
    try:
        async with asyncio.timeout(min(ASK_S, target.provider.timeouts.total)):
            return await driver.poll(started, target)
    except DriverFailed as error:
        if error.is_unknown:  # the failure is of the question, not of the work
            log.info("job.not_asked", provider=target.provider.name, kind=error.failure.kind)
            return Unknown()
        return Failed(error)
    except TimeoutError:
        return Unknown()


async def _cancel(driver: Driver, started: Started, target: Target) -> None:
    try:
        async with asyncio.timeout(CANCEL_S):
            await driver.cancel(started, target)
    except (DriverFailed, TimeoutError) as error:
        log.info("job.not_cancelled", provider=target.provider.name, reason=str(error))
