"""`GET /metrics` on a port of its own, never on the public one.

Every process listens on it (SO_REUSEPORT) and answers for all, so that no process is special and
the port is there as long as one of them lives. A thread, so that it answers when the event loop
does not. The folder of the figures is per port: who shares the one shares the other.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import structlog

from ccapi.core.metrics import exposition, folder
from ccapi.core.metrics.cells import cells

log = structlog.get_logger(__name__)

REQUEST_S = 5.0

_server: "Server | None" = None


class Server(ThreadingHTTPServer):
    """The port, for the figures of one folder. Raises: OSError where somebody else has it."""

    allow_reuse_port = True
    daemon_threads = True

    def __init__(self, host: str, port: int, path: Path) -> None:
        self.path = path
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # http.server would ask the name service who we are.
        super(ThreadingHTTPServer, self).server_bind()


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = REQUEST_S
    server_version = "ccapi"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        body = exposition.render(folder.collect(self.server.path)).encode()
        self.send_response(200)
        self.send_header("content-type", exposition.CONTENT_TYPE)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A scrape every few seconds is no news."""


def serve(host: str, port: int, path: Path) -> bool:
    """Keep this process's figures in the folder, and answer on the port; whether it could be.

    A process without its port runs on: figures are comfort. The second call does nothing.
    """
    global _server  # noqa: PLW0603 — one a process
    if _server is not None:
        return True
    if not cells.open(path):
        return False
    folder.fold(path)
    try:
        _server = Server(host, port, path)
    except OSError as error:
        log.warning("metrics.no_port", host=host, port=port, error=str(error))
        return False
    threading.Thread(target=_server.serve_forever, name="metrics", daemon=True).start()
    return True


def _leave() -> None:
    """A forked child answers nothing until it asks for it."""
    global _server
    server, _server = _server, None
    if server is not None:
        server.server_close()


def stop() -> None:
    """Listen no more (at shutdown): what comes goes to the processes that stay."""
    global _server
    server, _server = _server, None
    if server is not None:
        server.shutdown()
        server.server_close()


os.register_at_fork(after_in_child=_leave)
