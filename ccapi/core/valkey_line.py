"""Lua scripts on Valkey in a request's way: those of one turn of the event loop go in one write.

One connection an event loop (measured: redis-py takes 0.27 ms of CPU for two calls, this 0.03). An
answer that takes longer than `CCAPI_VALKEY_HOT_S` counts as none: whoever waits is told `Away`, the
connection is given up, and nobody waits again until a new one has answered. A script that the
server has forgotten (a restart, a flush) is sent whole once more.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import structlog
from django.conf import settings

from ccapi.core import valkey
from ccapi.core.loops import PerLoop, raise_if_cancelled
from ccapi.core.valkey_wire import Away, Call, Wire, Word, dial

__all__ = ["Away", "Line", "Script", "close", "line"]

log = structlog.get_logger(__name__)

CONNECT_S = 0.25
RECONNECT_S = (0.05, 0.5)  # pauses between attempts: the first, the longest
# uvloop runs timers before it reads what has come: after a stall of our own, look once more.
GRACE_S = 0.01
UNANSWERED_MAX = 10_000


class Script:
    """A Lua script, and the name by which the server remembers it. Made at import, for ever."""

    known: ClassVar[dict[str, "Script"]] = {}

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.known[self.sha] = self


class Line:
    """The connection of one event loop, made anew when it breaks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit_s = settings.CCAPI_VALKEY_HOT_S
        self._queued: list[Call] = []
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._overdue: Call | None = None
        self._complained_at = 0.0
        self.is_away = False  # whether a call would fail at once

    def call(
        self, script: Script, keys: Sequence[str], words: Sequence[Word]
    ) -> "asyncio.Future[Any]":
        """The script's answer, soon. The future raises: Away."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._put(script, keys, words, future):
            future.set_exception(Away("Valkey is away."))
        return future

    def tell(self, script: Script, keys: Sequence[str], words: Sequence[Word]) -> None:
        """Run the script, if Valkey is there; nobody hears what it answers."""
        self._put(script, keys, words, None)

    def close(self) -> None:
        """Hang up for good; what waits is told Away."""
        self.is_away = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._drop(Away("The connection was closed."))

    def _put(
        self,
        script: Script,
        keys: Sequence[str],
        words: Sequence[Word],
        future: "asyncio.Future[Any] | None",
    ) -> bool:
        wire = self._wire
        waiting = len(self._queued) + (len(wire.unanswered) if wire is not None else 0)
        if self.is_away or waiting >= UNANSWERED_MAX:
            return False
        packed = ("EVALSHA", script.sha, len(keys), *keys, *words)
        self._queue(Call(packed, future, self._loop.time()))
        return True

    def _queue(self, call: Call) -> None:
        self._queued.append(call)
        if self._wire is None:
            if self._connecting is None:
                self._connecting = self._loop.create_task(self._connect(), name="valkey:line")
        elif len(self._queued) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._wire is None or not self._queued:
            return
        queued, self._queued = self._queued, []
        self._wire.send(queued)
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def _look(self) -> None:
        """Give the connection up where the oldest question has waited too long for its answer."""
        self._timer = None
        if self._wire is None or not self._wire.unanswered:
            return
        oldest = self._wire.unanswered[0]
        if self._loop.time() < oldest.since + self._limit_s:
            self._timer = self._loop.call_at(oldest.since + self._limit_s, self._look)
        elif self._overdue is not oldest:
            self._overdue = oldest
            self._timer = self._loop.call_later(GRACE_S, self._look)
        else:
            self._lose(Away("Valkey does not answer in time."))

    def _refused(self, call: Call, text: str) -> None:
        if text.startswith("NOSCRIPT") and call.words[0] == "EVALSHA":
            script = Script.known[str(call.words[1])]
            call.words = ("EVAL", script.text, *call.words[2:])
            self._queue(call)
            return
        if time.monotonic() - self._complained_at > 1.0:
            self._complained_at = time.monotonic()
            log.error("valkey.refused", reason=text[:200])
        call.fail(Away(text))

    def _broken(self, wire: Wire, error: Exception) -> None:
        if wire is self._wire:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        """Nobody waits from here on; a new connection is looked for."""
        valkey.note(error)
        self.is_away = True
        self._drop(error)
        self._connecting = self._loop.create_task(self._reconnect(), name="valkey:line")

    def _drop(self, error: Exception) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._overdue = None
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close(error)
        queued, self._queued = self._queued, []
        for call in queued:
            call.fail(error)

    async def _connect(self) -> None:
        """The first connection: what is asked meanwhile waits for it."""
        try:
            await self._open()
        except (OSError, TimeoutError) as error:
            self._lose(Away(str(error) or "Valkey does not answer."))
            return
        now = self._loop.time()
        for call in self._queued:
            call.since = now  # the time to connect is not the time to answer
        self._flush()

    async def _reconnect(self) -> None:
        pause, longest = RECONNECT_S
        while True:
            # Jitter, so that a restarted server does not meet every process at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            raise_if_cancelled()
            pause = min(pause * 2, longest)
            with contextlib.suppress(OSError, TimeoutError):
                await self._open()
                self.is_away = False
                return

    async def _open(self) -> None:
        """Connect, log in, and hear an answer. Raises: OSError, TimeoutError."""
        wire = Wire(self._refused, self._broken)
        try:
            async with asyncio.timeout(max(CONNECT_S, self._limit_s)):
                # Loaded beforehand: one that is sent again later would come after what follows it.
                loads = [("SCRIPT", "LOAD", script.text) for script in Script.known.values()]
                await dial(settings.REDIS_URL, wire, ("CLIENT", "SETNAME", "ccapi:line"), *loads)
        except BaseException:
            wire.close(Away("Valkey does not answer."))
            raise
        self._wire = wire
        self._connecting = None
        valkey.note(None)


_lines = PerLoop(Line)


def line() -> Line:
    """The line of the running event loop."""
    return _lines.get()


def close() -> None:
    """Hang up on this event loop (at shutdown)."""
    found = _lines.pop()
    if found is not None:
        found.close()
