"""A customer's endpoint for webhooks: a real HTTP server that verifies what it gets.

It answers as `script` says, in turn, and with 204 when that is over. Answers are a status, or one
of the words of `ODD`; a pair adds headers.
"""

import json
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple

from standardwebhooks import Webhook

Odd = Literal["hang up", "silent", "drip", "garbage"]
Answer = int | Odd | tuple[int, dict[str, str]]


class Received(NamedTuple):
    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:  # noqa: ANN401 — JSON
        """The body. Raises: WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """What came, in order. `held` is what a POST waits for before it is answered."""

    def __init__(self, *script: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.seen: list[Received] = []
        self.held = threading.Event()
        self.held.set()
        self.body = b"thank you"
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._lock:
                    receiver.seen.append(Received(time.monotonic(), self.path, headers, body))
                    answer = receiver.script.pop(0) if receiver.script else 204
                receiver.held.wait(20)
                receiver._answer(self, answer)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[str]:
        return [each.event for each in self.seen]

    def wait_for(self, count: int, timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.seen) < count:
            assert time.monotonic() < deadline, f"{len(self.seen)} of {count} came"
            time.sleep(0.01)

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        connection: socket.socket = handler.connection
        if answer == "hang up":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        elif answer == "garbage":
            handler.wfile.write(b"what?\r\n\r\n")
        elif answer in ("silent", "drip"):
            _bore(handler, b"" if answer == "silent" else b"HTTP/1.1 200 OK\r\nx-drip: ")
        else:
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            handler.send_response(int(status))
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(self.body)))
            handler.end_headers()
            handler.wfile.write(self.body)


def _bore(handler: BaseHTTPRequestHandler, first: bytes) -> None:
    """Begin to answer, and never come to an end; until the client goes."""
    try:
        handler.wfile.write(first)
        for _ in range(400):
            time.sleep(0.05)
            if first:
                handler.wfile.write(b"x")
    except OSError:
        pass


def body_of(received: Received) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(received.body)
    return found
