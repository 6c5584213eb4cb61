"""The local voice and the local pictures behind OpenAI's routes, offline, in their own process.

`python -m ccapi.devserver.local_media --port P`. One thing is made at a time; a bounded number
waits for its turn, and who comes after them is told to come again.
"""

import argparse
import base64
import contextlib
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ccapi.devserver import local_pictures as pictures
from ccapi.devserver import local_voice as voice

BODY_BYTES_MAX = 1024 * 1024
INPUT_CHARACTERS_MAX = 4096
PICTURES_MAX = 10
WAITING_MAX = 16
# A client that neither sends nor takes anything for so long, in seconds, is hung up on.
STALL_S = 60.0
USUAL_SIZE = (1024, 1024)
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")


class Refused(Exception):
    """What a client is told: a status and why."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.error = {"message": message, "type": kind, "code": code, "param": param}


class Studio:
    """What makes things, and who waits for it."""

    def __init__(self) -> None:
        self.voice = voice.Voice()
        self._waiting = 0
        self._count = threading.Lock()
        self._brush = threading.Lock()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Raises: Refused where too many wait."""
        with self._count:
            if self._waiting >= WAITING_MAX:
                raise Refused(503, "Too many requests wait for their turn.", "server_is_overloaded")
            self._waiting += 1
        try:
            yield
        finally:
            with self._count:
                self._waiting -= 1

    def speech(self, body: dict[str, Any]) -> tuple[str, Iterator[bytes]]:
        """Media type and pieces. Raises: Refused."""
        if body.get("model") != voice.MODEL:
            raise _no_model(body.get("model"))
        text, kind = body.get("input"), body.get("response_format", "mp3")
        speed = body.get("speed", 1.0)
        if not isinstance(text, str) or not text.strip():
            raise Refused(400, "'input' must be a text.", "invalid_value", "input")
        if len(text) > INPUT_CHARACTERS_MAX:
            raise Refused(
                400,
                f"'input' has more than {INPUT_CHARACTERS_MAX} characters.",
                "string_above_max_length",
                "input",
            )
        if body.get("voice") != voice.VOICE:
            raise Refused(400, f"The only voice is {voice.VOICE!r}.", "invalid_value", "voice")
        if kind not in voice.FORMATS:
            known = ", ".join(voice.FORMATS)
            raise Refused(
                400, f"'response_format' may be {known}.", "invalid_value", "response_format"
            )
        lowest, highest = voice.SPEED
        if not isinstance(speed, int | float) or not lowest <= speed <= highest:
            raise Refused(400, f"'speed' may be {lowest} to {highest}.", "invalid_value", "speed")
        return voice.FORMATS[kind][2], self.voice.speak(text, kind, float(speed))

    def images(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises: Refused."""
        if body.get("model") != pictures.MODEL:
            raise _no_model(body.get("model"))
        prompt, count, seed = body.get("prompt"), body.get("n") or 1, body.get("seed")
        kind = body.get("output_format") or "png"
        if not isinstance(prompt, str) or not prompt.strip():
            raise Refused(400, "'prompt' must be a text.", "invalid_value", "prompt")
        if not isinstance(count, int) or not 1 <= count <= PICTURES_MAX:
            raise Refused(400, f"'n' may be 1 to {PICTURES_MAX}.", "invalid_value", "n")
        if seed is not None and not isinstance(seed, int):
            raise Refused(400, "'seed' must be a whole number.", "invalid_value", "seed")
        if kind not in pictures.FORMATS:
            known = ", ".join(pictures.FORMATS)
            raise Refused(400, f"'output_format' may be {known}.", "invalid_value", "output_format")
        if body.get("response_format") == "url":
            raise Refused(
                400,
                "Nothing is kept here, so there are no links: ask for b64_json.",
                "invalid_value",
                "response_format",
            )
        width, height = _size(body.get("size"))
        data = []
        for number in range(count):
            with self._brush:
                made = pictures.picture(
                    prompt, seed=seed, number=number, width=width, height=height
                )
                coded = pictures.encoded(made, kind)
            data.append(
                {
                    "b64_json": base64.b64encode(coded).decode(),
                    "revised_prompt": pictures.SAYS.format(prompt=prompt),
                }
            )
        return {
            "created": int(time.time()),
            "data": data,
            "output_format": kind,
            "size": f"{width}x{height}",
        }


def _size(told: object) -> tuple[int, int]:
    if told in (None, "auto"):
        return USUAL_SIZE
    found = _SIZE.fullmatch(told) if isinstance(told, str) else None
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    fits = max(width, height) <= pictures.SIDE_MAX and width * height <= pictures.PIXELS_MAX
    if found is None or not fits or min(width, height) < 16:
        raise Refused(
            400,
            f"'size' may be auto, or WIDTHxHEIGHT of 16 to {pictures.SIDE_MAX} pixels a side and"
            f" {pictures.PIXELS_MAX} in all.",
            "invalid_value",
            "size",
        )
    return width, height


def _no_model(name: object) -> Refused:
    return Refused(404, f"There is no model {name!r} here.", "model_not_found", "model")


class Server(ThreadingHTTPServer):
    """On loopback alone."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.studio = Studio()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = STALL_S
    server: Server

    def log_message(self, *arguments: object) -> None:
        """Only errors are worth a line, and those come as tracebacks."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"status": "ok"})
        elif self.path == "/v1/models":
            data = [{"id": name, "object": "model"} for name in (voice.MODEL, pictures.MODEL)]
            self._answer(200, {"object": "list", "data": data})
        else:
            self._refuse(Refused(404, f"There is no route {self.path!r}.", "not_found"))

    def do_POST(self) -> None:
        try:
            body = self._body()
            with self.server.studio.place():
                self._make(body)
        except Refused as refused:
            self._refuse(refused)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True  # nobody is there any more

    def _make(self, body: dict[str, Any]) -> None:
        """Raises: Refused."""
        if self.path == "/v1/audio/speech":
            self._speech(*self.server.studio.speech(body))
        elif self.path == "/v1/images/generations":
            self._answer(200, self.server.studio.images(body))
        else:
            raise Refused(404, f"There is no route {self.path!r}.", "not_found")

    def _body(self) -> dict[str, Any]:
        """Raises: Refused."""
        told = self.headers.get("content-length", "")
        if not told.isdigit() or int(told) > BODY_BYTES_MAX:
            self.close_connection = True
            raise Refused(413, f"A body has {BODY_BYTES_MAX} bytes at most.", "too_large")
        try:
            body = json.loads(self.rfile.read(int(told)))
        except ValueError as error:
            raise Refused(400, "The body must be JSON.", "invalid_json") from error
        if not isinstance(body, dict):
            raise Refused(400, "The body must be a JSON object.", "invalid_json")
        return body

    def _speech(self, media_type: str, pieces: Iterator[bytes]) -> None:
        """Chunks as they are made; where that fails on the way, no last chunk."""
        first = next(pieces, b"")
        if not first:
            raise Refused(400, "There is nothing to say in 'input'.", "invalid_value", "input")
        self.send_response(200)
        self.send_header("content-type", media_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.close_connection = True  # until all has gone out
        piece = first
        while piece:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            piece = next(pieces, b"")
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = False

    def _refuse(self, refused: Refused) -> None:
        self._answer(refused.status, {"error": refused.error})

    def _answer(self, status: int, told: object) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if status == 503:
            self.send_header("retry-after", "2")
        self.end_headers()
        self.wfile.write(data)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="ccapi.devserver.local_media")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    server = Server(options.port)

    def end(*_: object) -> None:
        # `shutdown` waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
