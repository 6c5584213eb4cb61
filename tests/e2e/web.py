"""A web process for tests: production's, on a given port, which ends when its parent does."""

import ctypes
import signal
import sys

from ccapi import web


def main(port: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    sys.exit(web.main(["--port", str(port)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
