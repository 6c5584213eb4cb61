"""The sandbox as a process of its own, for tests that want the real server.

The process dies with the test run also where that is killed: on Linux, by the kernel.
"""

import contextlib
import ctypes
import functools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def sandbox() -> Iterator[str]:
    """Yields its base URL, without `/v1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.sandbox"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_dying_with_parent() if sys.platform == "linux" else None,  # noqa: PLW1509
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("no pipe")
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _dying_with_parent() -> functools.partial[int]:
    # The library is loaded before the fork, where it is safe.
    return functools.partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGKILL)
