"""HTTP as bytes on a socket: what no client library would send."""

import contextlib
import json
import socket
import time
from typing import Any

import msgspec


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


class Wire:
    """One connection."""

    def __init__(self, port: int, *, timeout_s: float = 5.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._left = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> Reply:
        self.send(data)
        return self.reply()

    def reply(self) -> Reply:
        """The next answer, by its Content-Length or chunks."""
        while b"\r\n\r\n" not in self._left:
            self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return Reply(int(lines[0].split()[1]), headers, self._body(headers))

    def is_closed(self, within_s: float = 2.0) -> bool:
        """Whether the server hangs up in time, without another answer."""
        self.socket.settimeout(within_s)
        try:
            return self._left == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def drip(self, pieces: list[bytes], every_s: float) -> float:
        """Send slowly until the server hangs up or all is sent; the seconds it took."""
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                self.send(piece)
                time.sleep(every_s)
        return time.monotonic() - began

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._take(int(headers.get("content-length", "0")))
        body = b""
        while True:
            while b"\r\n" not in self._left:
                self._more()
            size, _, self._left = self._left.partition(b"\r\n")
            piece = self._take(int(size, 16) + 2)[:-2]
            if not piece:
                return body
            body += piece

    def _take(self, size: int) -> bytes:
        while len(self._left) < size:
            self._more()
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"The server hung up after {self._left!r}.")
        self._left += piece


def request(
    line: str = "GET /models HTTP/1.1", *headers: str, host: str = "127.0.0.1", body: bytes = b""
) -> bytes:
    """A request as it is written, with a Host unless that is empty."""
    lines = [line, *([f"Host: {host}"] if host else []), *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
