"""A limiter on the tests' Valkey, with names of its own in each test."""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable

import pytest
from pytest_django import Settings

from accounts.types import Caller, Limits
from billing import rate_limits
from ccapi.core import ids
from ccapi.core.limits import UNLIMITED

_number = itertools.count(1)

Run = Callable[[Callable[[], Awaitable[None]]], None]


def new_caller(limits: Limits = UNLIMITED, key_limits: Limits = UNLIMITED) -> Caller:
    """Somebody whom Valkey has not met."""
    number = next(_number)
    return Caller(
        organization_id=number,
        organization=f"org_{os.getpid()}x{number}x{ids.uuid7().hex}",
        key_id=number,
        key=f"key_{number}",
        limits=limits,
        key_limits=key_limits,
    )


@pytest.fixture
def run(settings: Settings) -> Run:
    """Run on an event loop that closes its limiter."""
    settings.CCAPI_VALKEY_HOT_S = 1.0  # other tests share this machine

    async def and_close(main: Callable[[], Awaitable[None]]) -> None:
        try:
            await main()
        finally:
            rate_limits.close()

    return lambda main: asyncio.run(and_close(main))
