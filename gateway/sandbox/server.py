"""The sandbox's ASGI application: routes of each protocol's vendor, and /healthz.

Needs no key, stores nothing, and remembers nothing but which predictions were given up. What is
said in a chat is decided in `answers`, how in the dialects; vectors, speech and pictures are
services. What goes wrong on the way is `delivery`'s; here the bytes are moved.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, TypeAlias

from gateway.sandbox.answers import Ask, compose
from gateway.sandbox.anthropic import Anthropic
from gateway.sandbox.delivery import Cut, Pause, Step, body_steps, pause_before, stream_steps
from gateway.sandbox.dialect import Dialect
from gateway.sandbox.failures import Failure, Refused
from gateway.sandbox.gemini import Gemini
from gateway.sandbox.images import Images
from gateway.sandbox.ollama import Ollama
from gateway.sandbox.openai import OpenAI
from gateway.sandbox.refusing import refuse_if_chosen
from gateway.sandbox.replicate import Replicate
from gateway.sandbox.responses import Responses
from gateway.sandbox.scenarios import Chosen, choose
from gateway.sandbox.service import Asked, Service, Words
from gateway.sandbox.speech import Speech
from gateway.sandbox.vectors import Vectors

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
SERVICES: tuple[Service, ...] = (Vectors(), Speech(), Images(), Replicate())
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
            await self._start(200, _OPENAI, b"text/plain; charset=utf-8", length=2)
            await self._send({"type": "http.response.body", "body": b"ok"})
            return
        service = next((each for each in SERVICES if each.knows(self.method, self.path)), None)
        if service is not None:
            await self._serve(service)
            return
        found = dialect_of(self.path)
        dialect = found or (_ANTHROPIC if "anthropic-version" in self.headers else _OPENAI)
        try:
            self._check_route(found)
            ask = dialect.parse(await self._body(), self.headers)
            chosen = chosen_for(ask)
        except Refused as refused:
            await self._refuse(dialect, refused.failure)
            return
        await self._pause(pause_before(chosen))
        await self._deliver(dialect, ask, chosen)

    async def _serve(self, service: Service) -> None:
        try:
            asked = Asked(self.method, self.path, self.headers, await self._body())
            reply = await asyncio.to_thread(service.answer, asked)
        except Refused as refused:
            await self._refuse(service, refused.failure)
            return
        await self._pause(reply.pause_s)
        await self._start(reply.status, service, reply.media_type, length=reply.length)
        await self._carry_out(reply.steps)

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

    async def _refuse(self, words: Words, failure: Failure) -> None:
        status, body = words.failure(failure, self.request_id)
        headers = []
        if failure.retry_after is not None:
            headers.append((b"retry-after", str(failure.retry_after).encode()))
        # Gemini refuses a prompt in a stream that is otherwise as any other.
        is_event = body.startswith(b"data:")
        media_type = b"text/event-stream" if is_event else b"application/json"
        await self._start(status, words, media_type, length=len(body), extra=headers)
        await self._send({"type": "http.response.body", "body": body})

    async def _start(
        self,
        status: int,
        words: Words,
        media_type: bytes,
        *,
        length: int | None = None,
        extra: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        headers = [
            (b"content-type", media_type),
            (words.request_id_header.encode(), self.request_id.encode()),
            *(extra or ()),
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def chosen_for(ask: Ask) -> Chosen:
    """The scenario of a request that is answered.

    Raises: Refused where there is none, or it is one that answers with an error status.
    """
    chosen = choose(ask.model)
    if chosen is None:
        raise Refused(Failure(kind="not_found", facts={"model": ask.model}))
    refuse_if_chosen(chosen, ask.model)
    if chosen.name == "context-length" and ask.input_tokens > chosen.whole(0):
        facts: dict[str, str | int] = {"limit": chosen.whole(0), "tokens": ask.input_tokens}
        raise Refused(Failure(kind="context_length", param="messages", facts=facts))
    if chosen.name == "content-filter" and chosen.number is None:
        raise Refused(Failure(kind="content_filter", param="prompt"))
    return chosen
