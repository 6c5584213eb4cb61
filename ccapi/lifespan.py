"""The life of a web process: what begins with it, and how it ends without cutting anything off.

A signal first reaches us, then the server: uvicorn tells an application that it ends only once all
answers have been given, and by then there is nothing left to do for them. So, at SIGTERM or SIGINT:

1. at once: `/readyz` says 503, connections are no longer kept; requests are served as ever;
2. after CCAPI_SHUTDOWN_ACCEPT_S: the server gets its signal, and stops accepting;
3. after CCAPI_SHUTDOWN_S: what still runs is ended, each stream with its protocol's error event;
4. when all are settled, the process ends.

A second signal leaves 3 no time; a third one is the server's own business.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import structlog
from django.conf import settings

from ccapi.core import vitals
from gateway import api as gateway
from media_jobs import watching

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def lifespan(receive: Receive, send: Send) -> None:
    """ASGI's lifespan protocol."""
    life = Life()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await life.begin()
            await send({"type": "lifespan.startup.complete"})
        else:
            await life.end()
            await send({"type": "lifespan.shutdown.complete"})
            return


class Life:
    """One process's, from the server's start to its end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._signals = 0
        self._deadline = 0.0
        self._servers_own: dict[int, Any] = {}

    async def begin(self) -> None:
        vitals.current()
        await gateway.startup()
        # Nobody but the main thread may, and nobody else is told of signals.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._servers_own[number] = signal.signal(number, self._interrupted)

    async def end(self) -> None:
        """The server has no connection left; drains and settlements may still be under way."""
        self._start_draining()
        watching.close()
        await gateway.shutdown(max(0.0, self._deadline - time.monotonic()))
        for number, handler in self._servers_own.items():
            if signal.getsignal(number) == self._interrupted:
                signal.signal(number, handler)

    def _interrupted(self, number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._told_to_end, number)

    def _told_to_end(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self._start_draining()
            self._loop.call_later(settings.CCAPI_SHUTDOWN_ACCEPT_S, self._pass_on, number)
        elif self._signals == 2:
            log.info("shutdown.hurried")
            gateway.end_walks_within(0)
        else:
            self._pass_on(number)

    def _start_draining(self) -> None:
        here = vitals.current()
        if here.draining:
            return
        here.draining = True
        log.info("shutdown.begun", in_flight=here.in_flight)
        self._deadline = time.monotonic() + settings.CCAPI_SHUTDOWN_S
        gateway.end_walks_within(settings.CCAPI_SHUTDOWN_S)

    def _pass_on(self, number: int) -> None:
        """Let the server do what it does at this signal."""
        handler = self._servers_own.get(number)
        if callable(handler):
            handler(number, None)
        elif handler == signal.SIG_DFL:
            signal.signal(number, handler)
            signal.raise_signal(number)
