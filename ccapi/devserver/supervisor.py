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
from itertools import groupby
from types import FrameType

from ccapi.devserver.console import say
from ccapi.devserver.service import Service

BACK_OFF_S = 0.5  # doubled with each death that follows soon
BACK_OFF_S_MAX = 10.0
STEADY_S = 30.0  # alive for so long: the next death counts as the first
LOOK_S = 0.1
KILL_S = 2.0  # for what is told to end at once
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
            self.look()
            time.sleep(LOOK_S)

    def look(self) -> None:
        """One round of `watch`, for those who have more to do meanwhile."""
        for watched in self.watched:
            self._look(watched)

    def stop(self) -> None:
        """End all, last added first, a group together. A second Ctrl-C ends them at once."""
        services = [watched.service for watched in reversed(self.watched)]
        groups = [list(group) for _, group in groupby(services, key=_group)]
        try:
            for group in groups:
                _stop(group)
        except Interrupted:
            for number in ENDING_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            for group in groups:
                _kill(group)

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


def _group(service: Service) -> str:
    return service.group or service.name


def _kill(group: list[Service]) -> None:
    for service in group:
        service.tell_to_end(at_once=True)
    deadline = time.monotonic() + KILL_S
    for service in group:
        service.await_end(max(0.0, deadline - time.monotonic()))


def _stop(group: list[Service]) -> None:
    for service in group:
        service.tell_to_end()
    began = time.monotonic()
    for service in group:
        if not service.await_end(max(0.0, began + service.grace_s - time.monotonic())):
            say(f"{service.name} did not end within {service.grace_s:.0f} s; killed.")
