"""Django's synchronous side, from a web process's event loop: a few threads, no connection kept."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from ccapi.core.errors import BillingUnavailable

Value = TypeVar("Value")

THREADS_MAX = 4  # each has a connection while it works

_threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="media_jobs")


async def in_thread(work: Callable[[], Value]) -> Value:
    """Run it beside the event loop. It is done to its end also where the waiter is cancelled.

    Raises: what it raises; BillingUnavailable for a database that is away.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, _closing, work)


def _closing(work: Callable[[], Value]) -> Value:
    try:
        return work()
    except (OperationalError, InterfaceError) as error:
        raise BillingUnavailable("The database is away. Try again in a moment.") from error
    finally:
        connection.close()  # back to the pool
