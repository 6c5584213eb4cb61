"""What providers deliver: bytes made into `Made`, several calls made into one delivery."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE, Usage
from media_jobs import pictures
from media_jobs.drivers.base import DriverFailed
from media_jobs.drivers.conversion import made_into
from media_jobs.drivers.http import failed
from media_jobs.types import Delivered, Made

CALLS_AT_ONCE = 4


class Part(NamedTuple):
    """One picture of a provider's answer, as bytes or as base64."""

    data: bytes | str
    revised_prompt: str = ""
    seed: int | None = None


def made(parts: Iterable[Part]) -> list[Made]:
    """Those that are pictures. Raises: DriverFailed where there were some, and none is."""
    images: list[Made] = []
    problem: DriverFailed | None = None
    for part in parts:
        try:
            data = part.data if isinstance(part.data, bytes) else _from_base64(part.data)
            media_type = pictures.header(data).media_type
        except (pictures.NotAPicture, binascii.Error, ValueError) as error:
            problem = failed("server", "The provider's picture is none.", code="no_image")
            problem.__cause__ = error
            continue
        images.append(
            Made(
                data=data,
                media_type=media_type,
                revised_prompt=part.revised_prompt,
                seed=part.seed,
            )
        )
    if problem is not None and not images:
        raise problem
    return images


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


async def delivered(
    images: Sequence[Made],
    usage: Usage,
    *,
    count: int,
    output_format: str = "",
    request_id: str = "",
) -> Delivered:
    """At most `count` pictures, in the format that was asked for, counted into the usage.

    Raises: DriverFailed where there is none, or one cannot be made into the format.
    """
    if not images:
        raise failed("server", "The provider's answer has no picture.", code="no_image")
    kept = list(images[:count])
    if output_format:
        try:
            kept = [await made_into(image, output_format) for image in kept]
        except pictures.NotAPicture as error:
            raise failed("server", "The provider's picture is broken.") from error
    counted = msgspec.structs.replace(usage, images=len(kept))
    return Delivered(images=tuple(kept), usage=counted, request_id=request_id)


async def several(count: int, call: Callable[[int], Awaitable[Delivered]]) -> Delivered:
    """So many calls of one picture each, a few at once, as one delivery of those that worked.

    Raises: DriverFailed where none did: the first failure, unknown where any is.
    """
    if count == 1:
        return await call(0)
    turns = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(position: int) -> Delivered | DriverFailed:
        async with turns:
            try:
                return await call(position)
            except DriverFailed as failure:
                return failure

    ends = await asyncio.gather(*(one(position) for position in range(count)))
    parts = [end for end in ends if isinstance(end, Delivered)]
    if not parts:
        failures = [end for end in ends if isinstance(end, DriverFailed)]
        raise next((each for each in failures if each.is_unknown), failures[0])
    usage = parts[0].usage
    for part in parts[1:]:
        usage = added(usage, part.usage)
    return Delivered(
        images=tuple(image for part in parts for image in part.images),
        usage=msgspec.structs.replace(usage, images=sum(len(part.images) for part in parts)),
        request_id=parts[0].request_id,
    )


def added(one: Usage, other: Usage) -> Usage:
    """Tokens of both; the receipt's raw usage is the first's."""
    sums = {name: getattr(one, name) + getattr(other, name) for name in (*INPUT_SIDE, *OUTPUT_SIDE)}
    return msgspec.structs.replace(one, **sums)
