"""A web process: uvicorn behind the outer guard's protocol, until it is told to end.

`python -m ccapi.web` is what production runs, one process a container or a port, and `serve` too,
with a socket that all its processes inherit. uvicorn's own `--workers` would make grandchildren,
which outlive a supervisor that is killed. What ends in which order is `ccapi.lifespan`'s.
"""

import argparse
import resource
import signal
import socket
import sys
from types import FrameType

import uvicorn

from ccapi.server import Server

BACKLOG = 2048
DESCRIPTORS = 65_536  # a stream takes two, and shells commonly grant 1,024 in all
KEEP_ALIVE_S = (
    75  # longer than clients and proxies commonly keep a connection, so that they close first
)
# The application ends its answers itself, in order, by CCAPI_SHUTDOWN_S (`ccapi.lifespan`); what
# does not even end so long after that is cut off by uvicorn.
CUT_S = 15.0


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT. 3: it could not begin."""
    # uvicorn hands the signal on when it has ended; without a handler that would be a death in the
    # middle of whatever the process still has to tidy up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    options = _parse(arguments)
    from ccapi.guard.protocol import GuardedProtocol  # reads the settings, as `grace_s` does

    _bound_resources()
    listener = _listener(options)
    server = Server(
        uvicorn.Config(
            "ccapi.asgi:application",
            loop="uvloop",
            http=GuardedProtocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,  # ccapi.core.logs has the word
            server_header=False,
            proxy_headers=False,  # the guard knows whom to believe
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(grace_s()),
        )
    )
    server.run(sockets=[listener])
    return 0 if server.started else 3


def grace_s() -> float:
    """How long an ending process may take for its answers, in seconds."""
    # Here, since `serve` imports this module before it has the environment that settings are of.
    from ccapi import settings

    return settings.CCAPI_SHUTDOWN_S + CUT_S


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ccapi.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, instead of both")
    return parser.parse_args(arguments)


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=BACKLOG)
    except OSError as error:
        sys.exit(f"Cannot listen at {options.host}:{options.port}: {error.strerror}.")


def _bound_resources() -> None:
    """No core files, which would hold every secret; as many descriptors as we may have."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
