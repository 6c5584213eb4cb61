"""Customers: they ask over both protocols, streamed and whole, and write down what they see.

They read the bytes of an answer as they come and take nobody's word: whether a stream was complete
is judged by its protocol's own marker, and by whether its HTTP body came to a proper end.
"""

import asyncio
import random
import time

import aiohttp
import msgspec

from gateway.proofs.records import Order, Protocol, Seen

ANSWER_S = 60.0
REFUSED_S = 0.2  # until a customer who was refused asks again
PATHS: dict[Protocol, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
PROTOCOLS: tuple[Protocol, ...] = ("openai", "anthropic")


async def carry_out(order: Order) -> list[Seen]:
    """Ask as ordered; one record for each request, in the order of their end."""
    seen: list[Seen] = []
    draw = random.Random(order.seed)  # noqa: S311 - seeded, for repeatable proofs
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        if order.requests:
            asks = (_ask(session, order, draw, seen, number) for number in range(order.requests))
            await asyncio.gather(*asks)
        else:
            until = time.monotonic() + order.seconds
            await asyncio.gather(
                *(_go_on(session, order, draw, seen, until) for _ in range(order.customers))
            )
    return seen


async def _go_on(
    session: aiohttp.ClientSession,
    order: Order,
    draw: random.Random,
    seen: list[Seen],
    until: float,
) -> None:
    while time.monotonic() < until:
        told = await _ask(session, order, draw, seen, draw.getrandbits(16))
        if told.end in ("refused", "lost"):
            await asyncio.sleep(REFUSED_S)


async def _ask(
    session: aiohttp.ClientSession,
    order: Order,
    draw: random.Random,
    seen: list[Seen],
    number: int,
) -> Seen:
    # All kinds and all processes take turns where requests are numbered, else they are drawn.
    told = Seen(
        name=f"r{draw.getrandbits(48):012x}",
        protocol=PROTOCOLS[number % 2],
        stream=number // 2 % 2 == 0,
        via=number // 4 % len(order.urls),
        began=time.monotonic(),
    )
    models = draw.sample(order.models, order.choices)
    body = _body(told, models, order.max_tokens)
    url = order.urls[told.via] + PATHS[told.protocol]
    headers = {"authorization": f"Bearer {order.key}"}
    try:
        async with session.post(url, json=body, headers=headers) as answer:
            await _read(answer, told)
    except (aiohttp.ClientError, OSError, TimeoutError):
        told.end = "broken" if told.status == 200 else "lost"
    told.ended = time.monotonic()
    seen.append(told)
    return told


def _body(told: Seen, models: list[str], max_tokens: int) -> dict[str, object]:
    return {
        "model": models[0],
        "models": models,
        "max_tokens": max_tokens,
        "stream": told.stream,
        "messages": [{"role": "user", "content": f"Please answer request {told.name}."}],
    }


async def _read(answer: aiohttp.ClientResponse, told: Seen) -> None:
    told.status = answer.status
    told.generation = answer.headers.get("x-ccapi-generation-id", "")
    told.provider = answer.headers.get("x-ccapi-provider", "")
    told.attempts = answer.headers.get("x-ccapi-attempts", "")
    if told.status != 200:
        told.end = "refused"
        told.code = _code(await answer.json(content_type=None))
    elif told.stream:
        await _read_stream(answer, told)
    else:
        told.text = _text(await answer.json(content_type=None))
        told.end, told.marked = "complete", True


async def _read_stream(answer: aiohttp.ClientResponse, told: Seen) -> None:
    rest = b""
    failed = ended = False
    async for data in answer.content.iter_any():
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            payload = event.partition(b"data: ")[2]
            if payload == b"[DONE]":
                ended = told.marked = True
            elif payload:
                frame = msgspec.json.decode(payload)
                failed = failed or _failed(frame)
                ended = ended or frame.get("type") == "message_stop"
                told.marked = told.marked or ended or _finished(frame)
                told.text += _delta(frame)
    told.end = "error" if failed else "complete" if ended else "broken"
    told.silent = not (failed or ended)


def _failed(frame: dict[str, object]) -> bool:
    return frame.get("type") == "error" or bool(frame.get("error"))


class _Message(msgspec.Struct, frozen=True):
    content: str | None = ""


class _Choice(msgspec.Struct, frozen=True):
    message: _Message = _Message()
    delta: _Message = _Message()
    finish_reason: str | None = None


class _Block(msgspec.Struct, frozen=True):
    text: str = ""
    stop_reason: str | None = None


class _Reading(msgspec.Struct, frozen=True):
    """Of an answer or an event of either protocol, what a customer reads."""

    choices: list[_Choice] = []
    content: list[_Block] = []
    delta: _Block = _Block()


def _delta(frame: object) -> str:
    read = msgspec.convert(frame, _Reading)
    return "".join(choice.delta.content or "" for choice in read.choices) + read.delta.text


def _finished(frame: object) -> bool:
    """Whether this event says that the answer came to its natural end."""
    read = msgspec.convert(frame, _Reading)
    return bool(read.delta.stop_reason or any(choice.finish_reason for choice in read.choices))


def _text(body: object) -> str:
    read = msgspec.convert(body, _Reading)
    told = "".join(choice.message.content or "" for choice in read.choices)
    return told + "".join(block.text for block in read.content)


def _code(body: dict[str, dict[str, str]]) -> str:
    """Our code of an error; Anthropic's protocol has only a type."""
    error = body.get("error", {})
    return error.get("code") or error.get("type", "")
