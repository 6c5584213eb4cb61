"""Providers: a real HTTP server on loopback that answers in two vendors' protocols, or fails.

Each request draws how it is answered, by the order's weights:

- `whole`: as a good provider does;
- before any content: `error_500`, `rate_limited`, `overloaded`, `hang_up` (no byte), `silent`;
- anywhere, at a random event: `cut` (reset or end in the middle, within an event too), `stall`,
  `garble`, `error_inside`, `early_end` (a proper end of the body, before the end marker);
- `empty`: complete, and says nothing;
- `lie`: half of the content is missing, and the end says that all is well. No gateway can notice
  this; it is here so that a proof can be seen to fail.

Everything that is asked of them is kept in `served`, with what the whole answer says: a text that
names the provider and the request, so that an answer tells who gave it.
"""

import asyncio
import random
import re
import socket

import msgspec

from gateway.proofs.records import Order, Served
from gateway.sandbox.answers import Answer, Ask, Usage
from gateway.sandbox.anthropic import Anthropic
from gateway.sandbox.dialect import Dialect, Frame
from gateway.sandbox.failures import Failure, Kind
from gateway.sandbox.openai import OpenAI
from gateway.sandbox.tokens import split

DIALECTS: dict[str, Dialect] = {"chat/completions": OpenAI(), "messages": Anthropic()}
REFUSALS: dict[str, Kind] = {
    "error_500": "server",
    "rate_limited": "rate_limited",
    "overloaded": "overloaded",
}
GARBAGE = b'data: {"choices": [{"delta": {"cont\n\n'
OOPS = "It went wrong, as ordered."
SILENCE_S = 60.0  # longer than any deadline of the proofs' catalog
WORDS = ("ledger", "wallet", "hold", "settle", "stream", "event", "token", "price", "route", "gate")
_NAME = re.compile(rb"request ([a-z0-9-]+)\.")


class Providers:
    """The first part of a path names the provider: `/{provider}/v1/chat/completions`."""

    def __init__(self) -> None:
        self.served: list[Served] = []
        self._order = Order(urls=[], key="")
        self._random = random.Random()  # noqa: S311 - a seeded one, for repeatable proofs

    def take(self, order: Order) -> None:
        """From now on as this order has it, without memory of earlier ones."""
        self.served = []
        self._order = order
        self._random.seed(order.seed)

    async def listen(self) -> str:
        bound = socket.create_server(("127.0.0.1", 0), backlog=2048)
        # Made anew from its number, so that it knows its protocol: asyncio sets TCP_NODELAY on no
        # other.
        listener = socket.socket(fileno=bound.detach())
        await asyncio.start_server(self._converse, sock=listener)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, OSError):
            return  # the gateway hung up
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection may carry another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        _, provider, _, route = head.split(" ", 2)[1].split("/", 3)
        asked = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        served = self._served(provider, body, asked)
        self.served.append(served)
        stream = bytes(asked.get("stream", b"")) == b"true"
        play = _Play(reader, writer, served, DIALECTS[route], self._random, self._order)
        return await (play.stream() if stream else play.whole())

    def _served(self, provider: str, body: bytes, asked: dict[str, msgspec.Raw]) -> Served:
        order, draw = self._order, self._random
        found = _NAME.search(body)
        name = found[1].decode() if found else ""
        words = " ".join(draw.choices(WORDS, k=draw.randint(*order.words)))
        text = f"{provider} answers {name}: {words}."
        return Served(
            name=name,
            provider=provider,
            model=msgspec.json.decode(asked["model"], type=str),
            how=draw.choices(list(order.how), list(order.how.values()))[0],
            text=text,
            input=draw.randint(1, 30),
            output=min(len(split(text)), order.max_tokens),
        )


class _Play:
    """One answer, as it was drawn."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        served: Served,
        dialect: Dialect,
        draw: random.Random,
        order: Order,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._served, self._dialect = served, dialect
        self._random, self._order = draw, order
        said, output = ("", 0) if served.how == "empty" else (served.text, served.output)
        self._said = Answer(text=split(said), usage=Usage(served.input, output))
        self._ask = Ask(model=served.model, text="", input_tokens=served.input)

    async def stream(self) -> bool:
        if (kept := await self._refused()) is not None:
            return kept
        how = self._served.how
        ask = msgspec.structs.replace(self._ask, stream=True)
        frames = list(self._dialect.frames(ask, self._said))
        at = self._random.randrange(len(frames))
        self._head(200, "text/event-stream", "transfer-encoding: chunked")
        match how:
            case "whole" | "empty":
                await self._send(frames)
            case "lie":
                contents = [frame for frame in frames if frame.stage == "content"]
                missing = contents[len(contents) // 2 :]
                await self._send([frame for frame in frames if frame not in missing])
            case "garble":
                await self._send([*frames[:at], Frame("content", GARBAGE), *frames[at:]])
            case "error_inside":
                error = self._dialect.error_frame(
                    Failure(kind="overloaded", message=OOPS), "req_proof"
                )
                await self._send([*frames[:at], Frame("close", error)])
            case _:
                await self._send(frames[:at])
        return await self._ended(how, frames[at].data)

    async def _ended(self, how: str, cut: bytes) -> bool:
        """The end of a stream; `cut` is the event at which a cut one is cut."""
        match how:
            case "stall":
                return await self._silence()
            case "cut":
                within = self._random.randrange(len(cut))
                await self._chunk(cut[:within])
                return await self._break()
        self._writer.write(b"0\r\n\r\n")
        return True

    async def whole(self) -> bool:
        if (kept := await self._refused()) is not None:
            return kept
        how = self._served.how
        if how == "lie":
            half = tuple(self._said.text)[: self._served.output // 2]
            self._said = msgspec.structs.replace(self._said, text=half)
        body = self._dialect.answer(self._ask, self._said)
        part = body[: self._random.randrange(1, len(body))]
        promised = len(body)
        match how:
            case "stall" | "cut":
                body = part
            case "garble" | "early_end":
                body, promised = part, len(part)
            case "error_inside":
                _, body = self._dialect.failure(
                    Failure(kind="overloaded", message=OOPS), "req_proof"
                )
                promised = len(body)
        self._head(200, "application/json", f"content-length: {promised}")
        self._writer.write(body)
        await self._writer.drain()
        match how:
            case "stall":
                return await self._silence()
            case "cut":
                return await self._break()
        return True

    async def _refused(self) -> bool | None:
        """What fails before the head of an answer; None where this one does not."""
        if self._order.wait_s:
            await asyncio.sleep(self._order.wait_s)
        match how := self._served.how:
            case "hang_up":
                self._writer.transport.abort()
                return False
            case "silent":
                return await self._silence()
            case _ if how in REFUSALS:
                failure = Failure(kind=REFUSALS[how], message=OOPS)
                status, body = self._dialect.failure(failure, "req_proof")
                self._head(status, "application/json", f"content-length: {len(body)}")
                self._writer.write(body)
                return True
        return None

    def _head(self, status: int, media_type: str, framing: str) -> None:
        head = f"HTTP/1.1 {status} Status\r\ncontent-type: {media_type}\r\n{framing}\r\n\r\n"
        self._writer.write(head.encode())

    async def _send(self, frames: list[Frame]) -> None:
        for frame in frames:
            if self._order.pace_s:
                await asyncio.sleep(self._order.pace_s * self._random.uniform(0.5, 1.5))
            await self._chunk(frame.data)

    async def _chunk(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the gateway hung up")
        if data:  # an empty chunk would be the last one
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self._writer.drain()

    async def _silence(self) -> bool:
        """Say nothing until the gateway hangs up."""
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._reader.read(1)
        except TimeoutError:
            pass
        return False

    async def _break(self) -> bool:
        """Break off: with a reset, or with an end of the connection that leaves the body open."""
        if self._random.random() < 0.5:
            # A reset discards what the other side has not read yet, so that gets a moment.
            await asyncio.sleep(0.01)
            self._writer.transport.abort()
        return False
