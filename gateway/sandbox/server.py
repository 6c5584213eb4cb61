"""The sandbox's ASGI application: routes of each protocol's vendor, and /healthz.

Keeps no state, needs no key, stores nothing. What is said is decided in `answers`, how in the
dialects, and what goes wrong on the way in `delivery`; here the bytes are moved.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, TypeAlias

from gateway.sandbox import vectors
from gateway.sandbox.answers import Ask, compose
from gateway.sandbox.anthropic import Anthropic
from gateway.sandbox.delivery import Cut, Pause, Step, body_steps, pause_before, stream_steps
from gateway.sandbox.dialect import Dialect
from gateway.sandbox.failures import Failure, Kind, Refused
from gateway.sandbox.gemini import Gemini
from gateway.sandbox.ollama import Ollama
from gateway.sandbox.openai import OpenAI
from gateway.sandbox.responses import Responses
from gateway.sandbox.scenarios import Chosen, choose

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 32 * 1024 * 1024

_OPENAI, _ANTHROPIC = OpenAI(), Anthropic()
ROUTES: dict[str, Dialect] = {
    "/v1/chat/completions": _OPENAI,
    "/chat/completions": _OPENAI,
    "/v1/messages": _ANTHROPIC,
    "/v1/responses": Responses(),
    "/api/chat": Ollama(),
}
_GEMINI = ("/v1beta/models/", "/v1/models/")
_ACTIONS = {"generateContent": False, "streamGenerateContent": True}  # whether it streams


def dialect_of(path: str) -> Dialect | None:
    """Who speaks at this path."""
    if path.startswith(_GEMINI):
        model, _, action = path.partition("/models/")[2].rpartition(":")
        return Gemini(model, stream=_ACTIONS[action]) if action in _ACTIONS else None
    return ROUTES.get(path)


class HungUp(Exception):
    """The client is gone; there is nobody to answer."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI entry."""
    if scope["type"] != "http":
        # Lifespan and WebSockets are not spoken; a server takes the exception for that.
        raise NotImplementedError(scope["type"])
    try:
        await Exchange(scope, receive, send).answer()
    except HungUp:
        return


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.request_id = f"req_{secrets.token_hex(12)}"
        self._receive = receive
        self._send = send

    async def answer(self) -> None:
        if self.path == "/healthz":
            await self._whole(200, b"ok", media_type=b"text/plain; charset=utf-8")
            return
        found = dialect_of(self.path)
        dialect = found or (_ANTHROPIC if "anthropic-version" in self.headers else _OPENAI)
        try:
            if self.method == "POST" and self.path in vectors.PATHS:
                body = vectors.answer(await self._body())
                await self._whole(200, body, media_type=b"application/json")
                return
            self._check_route(found)
            ask = dialect.parse(await self._body(), self.headers)
            chosen = chosen_for(ask)
        except Refused as refused:
            await self._refuse(dialect, refused.failure)
            return
        await self._pause(pause_before(chosen))
        await self._deliver(dialect, ask, chosen)

    def _check_route(self, found: Dialect | None) -> None:
        if self.method != "POST" or found is None:
            facts: dict[str, str | int] = {"method": self.method, "path": self.path}
            raise Refused(Failure(kind="no_route", facts=facts))

    async def _deliver(self, dialect: Dialect, ask: Ask, chosen: Chosen) -> None:
        answer = compose(ask, chosen)
        failure = Failure(kind="overloaded")
        if ask.stream:
            steps = stream_steps(
                chosen,
                dialect.frames(ask, answer),
                lambda: dialect.error_frame(failure, self.request_id),
                dialect.garbage,
            )
            await self._start(200, dialect, dialect.stream_type)
        else:
            length, steps = body_steps(
                chosen,
                dialect.answer(ask, answer),
                lambda: dialect.failure(failure, self.request_id)[1],
            )
            await self._start(200, dialect, b"application/json", length=length)
        await self._carry_out(steps)

    async def _carry_out(self, steps: Iterator[Step]) -> None:
        for step in steps:
            match step:
                case Pause():
                    await self._pause(step.seconds)
                case Cut():
                    # The server closes a connection whose answer its application left unfinished.
                    return
                case _:
                    await self._send(
                        {"type": "http.response.body", "body": step, "more_body": True}
                    )
        await self._send({"type": "http.response.body", "body": b""})

    async def _pause(self, seconds: float) -> None:
        """Raises: HungUp as soon as the client is gone."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return
        raise HungUp

    async def _body(self) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUp
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            size += len(parts[-1])
            if size > BODY_BYTES_MAX:
                raise Refused(Failure(kind="too_large"))
        return b"".join(parts)

    async def _refuse(self, dialect: Dialect, failure: Failure) -> None:
        status, body = dialect.failure(failure, self.request_id)
        headers = []
        if failure.retry_after is not None:
            headers.append((b"retry-after", str(failure.retry_after).encode()))
        # Gemini refuses a prompt in a stream that is otherwise as any other.
        media_type = dialect.stream_type if body.startswith(b"data:") else b"application/json"
        await self._start(status, dialect, media_type, length=len(body), extra=headers)
        await self._send({"type": "http.response.body", "body": body})

    async def _whole(self, status: int, body: bytes, *, media_type: bytes) -> None:
        await self._start(status, _OPENAI, media_type, length=len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def _start(
        self,
        status: int,
        dialect: Dialect,
        media_type: bytes,
        *,
        length: int | None = None,
        extra: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        headers = [
            (b"content-type", media_type),
            (dialect.request_id_header.encode(), self.request_id.encode()),
            *(extra or ()),
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


_REFUSING: dict[str, Kind] = {
    "server-error": "server",
    "invalid-request": "invalid",
    "overloaded": "overloaded",
    "invalid-key": "invalid_key",
    "no-credit": "no_credit",
    "not-found": "not_found",
}


def chosen_for(ask: Ask) -> Chosen:
    """The scenario of a request that is answered.

    Raises: Refused where there is none, or it is one that answers with an error status.
    """
    chosen = choose(ask.model)
    if chosen is None:
        raise Refused(Failure(kind="not_found", facts={"model": ask.model}))
    _refuse_if_chosen(ask, chosen)
    return chosen


def _refuse_if_chosen(ask: Ask, chosen: Chosen) -> None:
    if chosen.name in _REFUSING:
        status = chosen.whole(0)
        if not 400 <= status <= 599:
            status = 0
        kind = _REFUSING[chosen.name]
        raise Refused(Failure(kind=kind, status=status, facts={"model": ask.model}))
    if chosen.name == "rate-limited":
        seconds = max(chosen.whole(1), 0)
        facts: dict[str, str | int] = {"model": ask.model, "seconds": seconds}
        raise Refused(Failure(kind="rate_limited", retry_after=seconds, facts=facts))
    if chosen.name == "context-length" and ask.input_tokens > chosen.whole(0):
        facts = {"limit": chosen.whole(0), "tokens": ask.input_tokens}
        raise Refused(Failure(kind="context_length", param="messages", facts=facts))
    if chosen.name == "content-filter" and chosen.number is None:
        raise Refused(Failure(kind="content_filter", param="prompt"))
