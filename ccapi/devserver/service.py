"""A server that we run: how it is launched, how it is told to end, and what its end means."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from ccapi.devserver import processes


@dataclass
class Service:
    """One child process.

    `launch` starts it anew each time; `is_vital`: its death ends everything.
    """

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    kill_signal: signal.Signals = signal.SIGKILL
    is_vital: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> subprocess.Popen[bytes]:
        """Launch it."""
        self.process = self.launch()
        return self.process

    def stop(self) -> bool:
        """End it with its grace. Whether it went by itself."""
        return self.process is None or processes.stop(self.process, self.stop_signal, self.grace_s)

    def kill(self) -> None:
        """End it now."""
        if self.process is not None:
            processes.stop(self.process, self.kill_signal, 2.0)
