"""`python -m gateway.sandbox`: serves the sandbox on an address or an inherited socket."""

import argparse
import asyncio
import logging
import socket
import sys
from types import FrameType

import uvicorn

from gateway.sandbox.server import application


class Server(uvicorn.Server):
    """uvicorn that stops at once: nobody wants to wait for a stream that stalls on purpose."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self.should_exit = True
        self.force_exit = True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--fd", type=int, help="a listening socket, instead of host and port")
    arguments = parser.parse_args()
    if arguments.fd is None:
        bound = socket.create_server((arguments.host, arguments.port), backlog=2048)
        arguments.fd = bound.detach()
    # From its number a socket knows its protocol: asyncio sets TCP_NODELAY on no other.
    listener = socket.socket(fileno=arguments.fd)
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    serve(listener)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what is done on purpose: answers left unfinished, streams ended by a stop."""
    cancelled = record.exc_info is not None and record.exc_info[0] is asyncio.CancelledError
    stopping = record.msg.startswith("Cancel ")
    return not (cancelled or stopping or "without completing response" in record.msg)


def serve(listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_graceful_shutdown=1,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
