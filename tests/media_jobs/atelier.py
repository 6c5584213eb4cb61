"""A maker of pictures for tests: a real HTTP server that does what the prompt says.

It speaks OpenAI's `/images/generations` and Replicate's predictions, and remembers what it was
asked, so that a test can compare what was made with what was charged. Words in the prompt script
it: `delay=0.5` (seconds), `status=500`, `times=1` (so often is the script followed, then all is
well), `made=1` (fewer than asked), `polls=3` (a prediction is at work for so many questions),
`works=0.5` (for so many seconds), `fails` (the prediction fails), `never` (it never ends), `lost`
(the connection breaks instead of an answer). It also takes webhooks, at `/hook`.
"""

import base64
import io
import itertools
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, number // 256 % 256, 7)).save(data, "PNG")
    return data.getvalue()


class Atelier:
    """What was asked and made. `orders` and `made` count by prompt."""

    def __init__(self) -> None:
        self.orders: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.under_way: Counter[str] = Counter()  # predictions, by the key they were ordered with
        self.most: Counter[str] = Counter()  # how many of these there were at once
        self.hooks: list[tuple[dict[str, str], dict[str, Any]]] = []  # headers, body
        self.seen: list[dict[str, Any]] = []
        self.release = threading.Event()  # what `held` waits for
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._predictions: dict[str, dict[str, Any]] = {}
        atelier = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                atelier.get(self)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                atelier.post(self, json.loads(self.rfile.read(length) or b"{}"))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    # -- OpenAI's and Replicate's routes

    def post(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        if handler.path == "/hook":
            self.hooks.append((dict(handler.headers), body))
            _tell(handler, 200, {})
            return
        if handler.path.endswith("/cancel"):
            self._cancel(handler, handler.path.split("/")[-2])
            return
        asked = body.get("input", body)
        prompt = asked["prompt"]
        script = _script(prompt)
        with self._lock:
            self.orders[prompt] += 1
            self.seen.append(body)
            is_scripted = self.orders[prompt] <= int(script.get("times", 1_000_000))
        if not is_scripted:
            script = {}
        if "held" in script:
            self.release.wait(30)
        time.sleep(float(script.get("delay", 0)))
        if "lost" in script:
            handler.close_connection = True
            handler.connection.close()
            return
        if "status" in script:
            answer = {"error": {"message": "as scripted", "type": "x"}, "detail": "as scripted"}
            _tell(handler, int(script["status"]), answer)
        elif "input" in body:
            self._start(handler, body, prompt, script)
        else:
            count = int(script.get("made", body.get("n", 1)))
            with self._lock:
                numbers = [next(self._numbers) for _ in range(count)]
                self.made[prompt] += count
            data = [{"b64_json": base64.b64encode(picture(each)).decode()} for each in numbers]
            _tell(handler, 200, {"created": 1, "data": data})

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path.startswith("/files/"):
            _send(handler, 200, picture(int(handler.path.split("/")[-1])), "image/png")
            return
        found = self._predictions.get(handler.path.split("/")[-1])
        if found is None:
            _tell(handler, 404, {"detail": "no such prediction"})
            return
        with self._lock:
            self._advance(found)
        _tell(handler, 200, self._told(found))

    def _start(
        self,
        handler: BaseHTTPRequestHandler,
        body: dict[str, Any],
        prompt: str,
        script: dict[str, str],
    ) -> None:
        with self._lock:
            name = f"p{next(self._numbers)}"
            self._predictions[name] = {
                "id": name,
                "prompt": prompt,
                "status": "starting",
                "left": int(script.get("polls", 1)),
                "until": time.monotonic() + float(script.get("works", 0)),
                "script": script,
                "webhook": body.get("webhook"),
                "of": handler.headers.get("authorization", ""),
            }
            self._count(self._predictions[name], 1)
        _tell(handler, 201, self._told(self._predictions[name]))

    def _advance(self, found: dict[str, Any]) -> None:
        if found["status"] not in ("starting", "processing") or "never" in found["script"]:
            return
        found["left"] -= 1
        found["status"] = "processing"
        if found["left"] > 0 or time.monotonic() < found["until"]:
            return
        self._count(found, -1)
        if "fails" in found["script"]:
            found |= {"status": "failed", "error": "as scripted"}
            return
        number = next(self._numbers)
        self.made[found["prompt"]] += 1
        found |= {"status": "succeeded", "output": [f"{self.url}/files/{number}"]}

    def _cancel(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        found = self._predictions[name]
        with self._lock:
            if found["status"] in ("starting", "processing"):
                found["status"] = "canceled"
                self._count(found, -1)
                self.cancelled.add(found["prompt"])
        _tell(handler, 200, self._told(found))

    def _count(self, found: dict[str, Any], change: int) -> None:
        self.under_way[found["of"]] += change
        self.most[found["of"]] = max(self.most[found["of"]], self.under_way[found["of"]])

    def _told(self, found: dict[str, Any]) -> dict[str, Any]:
        hidden = ("prompt", "left", "until", "script", "webhook", "of")
        return {key: value for key, value in found.items() if key not in hidden} | {
            "urls": {"get": f"{self.url}/v1/predictions/{found['id']}", "cancel": ""},
            "logs": "50%" if found["status"] == "processing" else "",
        }


def _script(prompt: str) -> dict[str, str]:
    words = [word.partition("=") for word in prompt.split()]
    return {name: value for name, _, value in words}


def _tell(handler: BaseHTTPRequestHandler, status: int, answer: dict[str, Any]) -> None:
    _send(handler, status, json.dumps(answer).encode(), "application/json")


def _send(handler: BaseHTTPRequestHandler, status: int, data: bytes, kind: str) -> None:
    try:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
    except ConnectionError:
        handler.close_connection = True  # it was killed meanwhile
