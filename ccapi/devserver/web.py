"""One web process: uvicorn on a listening socket that all of them inherit from the supervisor.

uvicorn's own `--workers` would make grandchildren, which outlive a supervisor that is killed.
"""

import argparse
import socket
import sys

import uvicorn

KEEP_ALIVE_S = (
    75  # longer than clients and proxies commonly keep a connection, so that they close first
)
GRACE_S = 15  # for answers under way when we are told to end; the supervisor waits a little longer


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="ccapi.devserver.web")
    parser.add_argument("--fd", type=int, required=True, help="the inherited listening socket")
    options = parser.parse_args(arguments)
    listener = socket.socket(fileno=options.fd)
    server = uvicorn.Server(
        uvicorn.Config(
            "ccapi.asgi:application",
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,  # ccapi.core.logs has the word
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.run(sockets=[listener])
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
