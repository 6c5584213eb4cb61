"""Keeps services running and ends them in order.

Started in the order in which they were added, ended in the reverse one, each with its own signal
and grace: the web answers its last requests while the database is still there. What is started is
not known here.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from ccapi.devserver.console import say
from ccapi.devserver.service import Service

BACK_OFF_S = 0.5  # doubled with each death that follows soon
BACK_OFF_S_MAX = 10.0
STEADY_S = 30.0  # alive for so long: the next death counts as the first
LOOK_S = 0.1
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asks us to end. No Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as a shell has it


class ServiceDied(Exception):
    """A service that everything stands on has ended by itself."""


@contextmanager
def interruptible(*signals: signal.Signals) -> Iterator[None]:
    """Within it these signals (by default Ctrl-C, too) raise Interrupted in the main thread."""
    signals = signals or ENDING_SIGNALS

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@dataclass
class _Watched:
    service: Service
    started_at: float
    back_off_s: float = BACK_OFF_S
    restart_at: float | None = None


@dataclass
class Supervisor:
    """The services of one `serve`."""

    watched: list[_Watched] = field(default_factory=list)

    def add(self, service: Service) -> None:
        """Take a service in, and start it unless it runs."""
        if service.process is None:
            service.start()
        self.watched.append(_Watched(service, time.monotonic()))

    def watch(self) -> None:
        """Restart what dies, until Interrupted.

        Raises ServiceDied for one that nothing works without.
        """
        while True:
            for watched in self.watched:
                self._look(watched)
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """End all, last added first. A second Ctrl-C ends them at once."""
        try:
            for watched in reversed(self.watched):
                if not watched.service.stop():
                    name, grace_s = watched.service.name, watched.service.grace_s
                    say(f"{name} did not end within {grace_s:.0f} s; killed.")
        except Interrupted:
            for number in ENDING_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            for watched in reversed(self.watched):
                watched.service.kill()

    def _look(self, watched: _Watched) -> None:
        service, now = watched.service, time.monotonic()
        if watched.restart_at is not None:
            if now >= watched.restart_at:
                watched.restart_at, watched.started_at = None, now
                service.start()
            return
        if service.process is None or service.process.poll() is None:
            return
        code = service.process.returncode
        if service.is_vital:
            raise ServiceDied(f"{service.name} ended with code {code}.")
        if now - watched.started_at > STEADY_S:
            watched.back_off_s = BACK_OFF_S
        say(
            f"{service.name} ended with code {code}; starting it again in {watched.back_off_s:g} s."
        )
        watched.restart_at = now + watched.back_off_s
        watched.back_off_s = min(watched.back_off_s * 2, BACK_OFF_S_MAX)
