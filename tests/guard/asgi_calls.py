"""Calls of an ASGI application without a server: a scope as uvicorn makes it, the whole answer."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from ccapi.core.errors import GatewayError
from ccapi.core.lane import Receive, Send
from ccapi.guard.answers import App
from ccapi.guard.app import Guard, Rules

HOST = (b"host", b"api.example.com")


class Answered(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)["error"]
        return found


class Recording:
    """An application that answers 200 and remembers what reached it."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.body = b""
        self.gone = False

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                return
            self.body += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def guard(app: App, **rules: object) -> Guard:
    whole: dict[str, Any] = {
        "hosts": ["api.example.com"],
        "body_bytes_max": lambda _path: 100,
        **rules,
    }
    return Guard(app, Rules(**whole), render=no_protocol)


def no_protocol(_path: str, _error: GatewayError) -> None:
    """Every error in our own shape."""


def scope(
    path: str = "/models", *headers: tuple[bytes, bytes], method: str = "GET", **more: object
) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": b"",
        "scheme": "http",
        "client": ("203.0.113.9", 4000),
        "headers": [HOST, *headers],
        **more,
    }


def call(app: App, asked: dict[str, Any], *pieces: bytes) -> Answered | None:
    """The answer; None where none was begun."""
    waiting = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces)}
        for at, piece in enumerate(pieces or (b"",), 1)
    ]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    async def run() -> None:
        await app(asked, receive, send)

    asyncio.run(run())
    if not sent:
        return None
    headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    body = b"".join(message["body"] for message in sent[1:])
    return Answered(sent[0]["status"], headers, body)
