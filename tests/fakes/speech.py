"""Fake vendors of speech: OpenAI's and ElevenLabs' documented endpoints, as a real HTTP server.

They check what the vendors check (keys, voices, formats, bodies), make real audio of the length
that the text would have (a tone), and send it in pieces at a pace. `on` makes a model misbehave:
its behaviours are taken in order, the last one stays.
Sources: https://platform.openai.com/docs/api-reference/audio/createSpeech,
https://elevenlabs.io/docs/api-reference/text-to-speech/stream
"""

import base64
import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
import soundfile

# ok, slow, cut, reset, stall, silent, empty, header_only, html, json (an error in a 200), error,
# busy, limited, quota, bad_key, invalid, wrong_format; of events: no_usage, event_error, no_end.
Behaviour = str

OPENAI_KEY = "openai-speech-key"
ELEVENLABS_KEY = "elevenlabs-key"
CHARACTERS_PER_S = 15.0
PIECE_BYTES = 2048
OWN_VOICE = {"voice_id": "ownVoice000000000001", "name": "Storyteller - deep and slow"}
PREMADE = {"voice_id": "9BWtsMINqrJLrRacOk9x", "name": "Aria"}
_MEDIA = {
    "mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "flac": "audio/flac",
    "aac": "audio/aac", "pcm": "audio/pcm",
}  # fmt: skip
_CONTAINERS = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "wav": ("WAV", "PCM_16"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
    "pcm": ("RAW", "PCM_16"),
}


def tone(seconds: float, kind: str, rate: int = 24_000) -> bytes:
    """A tone of this length, in this format."""
    if kind == "aac":
        return _silent_aac(seconds)
    at = np.arange(int(seconds * rate)) / rate
    samples = (np.sin(2 * np.pi * 440 * at) * 12_000).astype(np.int16)
    container, subtype = _CONTAINERS[kind]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def _silent_aac(seconds: float) -> bytes:
    """ADTS frames of 1,024 samples at 24 kHz, with nothing that a decoder could play."""
    body = bytes(120)
    length = 7 + len(body)
    header = bytes(
        [0xFF, 0xF1, 0x58, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC]
    )
    return (header + body) * max(1, round(seconds * 24_000 / 1024))


class Asked(msgspec.Struct, frozen=True):
    """One request that reached a vendor. Header names are in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]


class Vendors:
    """Both of them, at one address: `{url}/openai/v1` and `{url}/elevenlabs/v1`."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.lists = 0  # how often ElevenLabs' voices were asked for
        self.hangups = 0  # clients that left before they had everything
        self.pace_s = 0.0
        self.voices_fail = False
        self._behaviours: dict[str, list[str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "Vendors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, model: str, *behaviours: Behaviour) -> None:
        self._behaviours[model] = list(behaviours)

    def reset(self) -> None:
        self._behaviours.clear()
        self.requests.clear()
        self.lists = self.hangups = 0
        self.pace_s = 0.0
        self.voices_fail = False

    def behaviour(self, model: str) -> str:
        left = self._behaviours.get(model, [])
        return (left.pop(0) if len(left) > 1 else left[0]) if left else "ok"


def _handler(vendors: Vendors) -> type[BaseHTTPRequestHandler]:
    class Handler(_Vendor):
        pass

    Handler.vendors = vendors
    return Handler


class _Vendor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vendors: Vendors

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        if self.path != "/elevenlabs/v1/voices":
            self._json(404, {"detail": "Not Found"})
        elif self.headers.get("xi-api-key") != ELEVENLABS_KEY:
            self._eleven(401, "invalid_api_key", "Invalid API key")
        elif self.vendors.voices_fail:
            self._eleven(500, "internal", "Something went wrong")
        else:
            self.vendors.lists += 1
            self._json(200, {"voices": [OWN_VOICE, PREMADE]})

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(
            path=parts.path,
            query={name: values[-1] for name, values in parse_qs(parts.query).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(raw),
        )
        self.vendors.requests.append(asked)
        try:
            if parts.path == "/openai/v1/audio/speech":
                self._openai(asked)
            elif found := re.fullmatch(r"/elevenlabs/v1/text-to-speech/(\w+)/stream", parts.path):
                self._elevenlabs(asked, found[1])
            else:
                self._json(404, {"detail": "Not Found"})
        except (BrokenPipeError, ConnectionResetError):
            self.vendors.hangups += 1
            self.close_connection = True

    # OpenAI.
    def _openai(self, asked: Asked) -> None:
        body, behaviour = asked.body, self.vendors.behaviour(asked.body.get("model", ""))
        if asked.headers.get("authorization") != f"Bearer {OPENAI_KEY}" or behaviour == "bad_key":
            self._openai_error(401, "Incorrect API key provided.", "invalid_api_key")
            return
        kind = body.get("response_format", "mp3")
        if kind not in _MEDIA or not body.get("input") or not body.get("voice"):
            self._openai_error(400, f"Invalid value: {kind!r}.", "invalid_value")
            return
        if self._misbehaved(behaviour, self._openai_error):
            return
        text = body["input"]
        if behaviour == "wrong_format":
            kind = "wav" if kind == "mp3" else "mp3"
        audio = tone(len(text) / CHARACTERS_PER_S / body.get("speed", 1.0), kind)
        if body.get("stream_format") == "sse":
            self._events(text, audio, behaviour)
        else:
            self._audio(_MEDIA[kind], audio, behaviour)

    def _openai_error(self, status: int, message: str, code: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        self._json(status, {"error": error})

    def _events(self, text: str, audio: bytes, behaviour: str) -> None:
        usage = {
            "input_tokens": len(text),
            "output_tokens": 10 * len(text),
            "total_tokens": 11 * len(text),
        }
        self._head(200, "text/event-stream")
        for number, piece in enumerate(_pieces(audio)):
            if number and behaviour == "event_error":
                time.sleep(0.3)  # what was said before has been heard by then
                self._chunk(
                    b'data: {"error": {"message": "It broke.", "code": "server_error"}}\n\n'
                )
                break
            delta = {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}
            self._chunk(b"data: %b\n\n" % json.dumps(delta).encode())
            time.sleep(self.vendors.pace_s)
            if number and behaviour == "cut":
                self._hang_up(reset=False)
                return
        if behaviour not in ("no_end", "event_error"):
            done: dict[str, Any] = {"type": "speech.audio.done"}
            if behaviour != "no_usage":
                done["usage"] = usage
            self._chunk(b"data: %b\n\n" % json.dumps(done).encode())
        self._chunk(b"")

    # ElevenLabs.
    def _elevenlabs(self, asked: Asked, voice: str) -> None:
        body, behaviour = asked.body, self.vendors.behaviour(asked.body.get("model_id", ""))
        if asked.headers.get("xi-api-key") != ELEVENLABS_KEY or behaviour == "bad_key":
            self._eleven(401, "invalid_api_key", "Invalid API key")
            return
        if voice == "nobodysVoice00000001":
            self._eleven(400, "voice_not_found", f"A voice with voice_id {voice} was not found.")
            return
        if behaviour == "invalid" or not body.get("text"):
            wrong = {"loc": ["body", "text"], "msg": "Field required", "type": "missing"}
            self._json(422, {"detail": [wrong]})
            return
        if self._misbehaved(behaviour, lambda status, text, code: self._eleven(status, code, text)):
            return
        kind, rate, *_ = asked.query.get("output_format", "mp3_44100_128").split("_")
        text = body["text"]
        speed = body.get("voice_settings", {}).get("speed", 1.0)
        if behaviour == "wrong_format":
            kind = "opus"
        audio = tone(len(text) / CHARACTERS_PER_S / speed, kind, int(rate))
        counted = {"x-character-count": str(len(text)), "request-id": "el-request-1"}
        self._audio(_MEDIA[kind], audio, behaviour, counted)

    def _eleven(self, status: int, code: str, message: str) -> None:
        self._json(status, {"detail": {"status": code, "message": message}})

    # Both.
    def _misbehaved(self, behaviour: str, error: Any) -> bool:  # noqa: ANN401 - either's
        match behaviour:
            case "error":
                error(500, "Something went wrong.", "server_error")
            case "busy":
                error(503, "We are busy.", "system_busy")
            case "limited":
                error(429, "Too many concurrent requests.", "too_many_concurrent_requests")
            case "quota":
                error(401, "This request exceeds your quota.", "quota_exceeded")
            case "invalid":
                error(400, "The voice does not speak so.", "invalid_value")
            case "html":
                self._whole(200, "text/html", b"<html><body>Login</body></html>")
            case "json":
                error(200, "No money left in this account.", "quota_exceeded")
            case "reset":
                self._hang_up(reset=True)
            case "silent":
                time.sleep(30)
            case _:
                return False
        return True

    def _audio(
        self, media: str, audio: bytes, behaviour: str, more: dict[str, str] | None = None
    ) -> None:
        if behaviour == "slow":
            time.sleep(0.5)
        if behaviour == "empty":
            audio = b""
        if behaviour == "header_only":
            audio = audio[:44]
        self._head(200, media, more)
        pieces = list(_pieces(audio))
        for number, piece in enumerate(pieces):
            self._chunk(piece)
            time.sleep(self.vendors.pace_s)
            if behaviour in ("cut", "stall") and number + 1 >= max(1, len(pieces) // 2):
                if behaviour == "stall":
                    self._await_hang_up()
                self._hang_up(reset=False)
                return
        self._chunk(b"")

    def _head(self, status: int, media: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("transfer-encoding", "chunked")
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _await_hang_up(self) -> None:
        """Silence, until the client has had enough."""
        self.connection.settimeout(30)
        if not self.connection.recv(1):
            self.vendors.hangups += 1

    def _hang_up(self, *, reset: bool) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def _json(self, status: int, told: object) -> None:
        self._whole(status, "application/json", json.dumps(told).encode())

    def _whole(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _pieces(audio: bytes) -> Iterator[bytes]:
    for at in range(0, len(audio), PIECE_BYTES):
        yield audio[at : at + PIECE_BYTES]
