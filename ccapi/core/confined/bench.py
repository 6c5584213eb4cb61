"""Where confined work is done, as the process that wants it sees it: asynchronous, one door.

A bench has one keeper a process: started with its first piece of work, kept for the next ones,
started again after a death, ended when nothing came for long. So many pieces are done at a time,
others wait for their turn. One that dies, takes too long or too much is refused and logged; the
next one does not notice.
"""

import asyncio
import threading

import structlog

from ccapi.core import clock, metrics
from ccapi.core.confined import piece as pieces
from ccapi.core.confined.handle import Handle, KeeperGone
from ccapi.core.confined.piece import Limits, NotDone, Piece
from ccapi.core.errors import Overloaded
from ccapi.core.loops import PerLoop

__all__ = ["Bench", "Limits", "NotDone"]

log = structlog.get_logger(__name__)

TRIES = 2  # a keeper that has died is nobody's fault, once
IDLE_S = 600.0  # it takes 15 MB, and a tenth of a second to start


class Bench:
    """One module's work, `at_a_time` pieces of it in an event loop."""

    def __init__(self, module: str, *, at_a_time: int) -> None:
        self._module = module
        self._turns = PerLoop(lambda: asyncio.Semaphore(at_a_time))
        self._lock = threading.Lock()
        self._keeper: Handle | None = None
        self._running = 0
        self._last = 0.0

    @property
    def keeper_pid(self) -> int | None:
        return None if self._keeper is None else self._keeper.pid

    async def run(self, function: str, data: bytes, *, limits: Limits, **arguments: str) -> bytes:
        """What the module's function makes of the data. Raises: NotDone, Overloaded."""
        piece = Piece(function, arguments, data, limits)
        async with self._turns.get():
            since = clock.monotonic()
            self._running += 1
            try:
                done = await self._tried(piece)
            except NotDone as error:
                self._note(piece, error, since)
                raise
            finally:
                self._running -= 1
                self._last = clock.monotonic()
        metrics.CONFINED.add((self._module, "done"))
        return done

    def close(self) -> None:
        """End the keeper; the next piece of work starts another. Not needed at a process's end."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.kill()

    async def _tried(self, piece: Piece) -> bytes:
        blamed: BaseException | None = None
        for _ in range(TRIES):
            keeper = None
            try:
                keeper = self._current()
                return await pieces.done(piece, keeper)
            except (KeeperGone, OSError) as error:
                log.warning("confined.keeper_gone", work=self._module, error=str(error))
                blamed = error.__cause__
                if keeper is not None and keeper is self._keeper:
                    self.close()
        if isinstance(blamed, NotDone):
            raise blamed
        raise Overloaded("Nothing can be decoded just now. Try again soon.")

    def _current(self) -> Handle:
        """Raises: OSError."""
        with self._lock:
            keeper = self._keeper
            if keeper is not None and keeper.is_ours and keeper.is_alive:
                return keeper
            if keeper is not None:
                keeper.kill()
            self._keeper = None
            keeper = self._keeper = Handle(self._module)
        self._watch(keeper)
        return keeper

    def _watch(self, keeper: Handle) -> None:
        """Until it has been idle for long, or is another's."""
        if keeper is not self._keeper:
            return
        if not self._running and clock.monotonic() - self._last >= IDLE_S:
            self.close()
        else:
            asyncio.get_running_loop().call_later(IDLE_S, self._watch, keeper)

    def _note(self, piece: Piece, error: NotDone, since: float) -> None:
        metrics.CONFINED.add((self._module, error.reason))
        if error.reason != "refused":
            log.warning(
                "confined.not_done",
                work=f"{self._module}.{piece.function}",
                reason=error.reason,
                error=error.word,
                bytes=len(piece.data),
                ms=clock.elapsed_ms(since),
            )
