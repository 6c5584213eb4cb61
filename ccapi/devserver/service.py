"""A server that we run: how it is launched, how it is told to end, and what its end means."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from ccapi.devserver import processes


@dataclass
class Service:
    """One child process.

    `launch` starts it anew each time; `is_vital`: its death ends everything. Services of one
    `group` that were added one after the other are told to end at the same time; before any is
    told, `before_end` is called.
    """

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    kill_signal: signal.Signals = signal.SIGKILL
    is_vital: bool = False
    group: str = ""
    before_end: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> subprocess.Popen[bytes]:
        """Launch it."""
        self.process = self.launch()
        return self.process

    def stop(self) -> bool:
        """End it with its grace. Whether it went by itself."""
        self.tell_to_end()
        return self.await_end(self.grace_s)

    def tell_to_end(self, *, at_once: bool = False) -> None:
        """Its own signal; `await_end` follows."""
        if self.before_end is not None:
            self.before_end()
        if self.process is not None:
            processes.tell(self.process, self.kill_signal if at_once else self.stop_signal)

    def await_end(self, grace_s: float) -> bool:
        """Wait for it, and kill it after the grace. Whether it went by itself."""
        return self.process is None or processes.await_end(self.process, grace_s)
