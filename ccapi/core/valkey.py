"""Valkey for signals and short-lived numbers. Nothing here may fail a request.

Everything in Valkey can be lost: whoever publishes also writes PostgreSQL, whoever subscribes also
polls it. A Valkey that is away is logged once, and once more when it is back.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable

import redis
import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ccapi.core.loops import PerLoop, raise_if_cancelled

log = structlog.get_logger(__name__)

HOT_S = 0.05  # a call in a request's way
PUBLISH_S = 0.25
LISTEN_S = 5.0  # how long to listen before asking the server whether it is still there
BACKOFF_S = (0.1, 5.0)

Handler = Callable[[bytes], None]
AWAY = (redis.RedisError, OSError, TimeoutError)

_publisher: redis.Redis | None = None
_lock = threading.Lock()
_is_away = False


def client() -> Redis:
    """The client of the running event loop: time limits of 50 ms, no retries.

    Callers catch `AWAY`, tell `note(error)`, and go on without.
    """
    return _clients.get()


def publish(channel: str, message: str) -> None:
    """Tell every subscriber, if Valkey is there. Synchronous: for views, commands, `on_commit`."""
    global _publisher  # noqa: PLW0603 — one pool of connections a process
    with _lock:
        if _publisher is None:
            _publisher = redis.Redis.from_url(
                settings.REDIS_URL,
                socket_timeout=PUBLISH_S,
                socket_connect_timeout=PUBLISH_S,
                retry=Retry(NoBackoff(), 0),
            )
    try:
        _publisher.publish(channel, message)
    except AWAY as error:
        note(error)
    else:
        note(None)


def subscribe(channel: str, handler: Handler) -> asyncio.Task[None]:
    """Call `handler` with each message, for as long as the event loop runs.

    Keep the task; cancel it to stop. Messages sent while the connection is down are lost, so
    `handler(b"")` is called after each reconnect: look for yourself what was missed.
    """
    return asyncio.get_running_loop().create_task(
        _follow(channel, handler), name=f"valkey:{channel}"
    )


def note(error: BaseException | None) -> None:
    """Log the first failure after a success and the first success after a failure."""
    global _is_away  # noqa: PLW0603 — the process knows one Valkey
    if error is not None and not _is_away:
        log.warning("valkey.away", error=type(error).__name__)
    elif error is None and _is_away:
        log.info("valkey.back")
    _is_away = error is not None


def is_away() -> bool:
    """Whether the last call of this process that said something found nobody there."""
    return _is_away


async def close() -> None:
    """Close the client of this event loop (at shutdown)."""
    found = _clients.pop()
    if found is not None:
        with contextlib.suppress(*AWAY):
            await found.aclose()


def _client(timeout_s: float, *, name: str = "ccapi") -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        client_name=name,  # what CLIENT LIST shows
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=AsyncRetry(NoBackoff(), 0),
    )


_clients = PerLoop(lambda: _client(HOT_S))


async def _follow(channel: str, handler: Handler) -> None:
    shortest, longest = BACKOFF_S
    pause = shortest
    while True:
        raise_if_cancelled()
        connection = _client(1.0, name=f"ccapi:{channel}")
        try:
            async with connection.pubsub() as subscription:
                await subscription.subscribe(channel)
                async for message in _messages(subscription):
                    pause = shortest
                    note(None)
                    handler(message)
        except AWAY as error:
            note(error)
        finally:
            with contextlib.suppress(*AWAY):
                await connection.aclose()
        # Jitter, so that a restarted server does not meet every process at once.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
        pause = min(pause * 2, longest)


async def _messages(subscription: PubSub) -> AsyncIterator[bytes]:
    """What is published, and `b""` once subscribed.

    Raises: one of `AWAY` when the server is gone, or silent.
    """
    silent = False
    while True:
        raise_if_cancelled()
        message = await subscription.get_message(timeout=LISTEN_S)
        if message is None:
            # The connection may be half open, which only a question finds out.
            if silent:
                raise TimeoutError("Valkey does not answer.")
            await subscription.ping()
        elif message["type"] == "subscribe":
            yield b""
        elif message["type"] == "message":
            yield message["data"]
        silent = message is None
