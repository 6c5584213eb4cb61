"""Pictures made into what the other side takes: formats, and the two ways of drawing a mask.

A mask of ours is OpenAI's, transparent where the picture is to change; one without transparency is
read as most image models read theirs, white where it is to change. `media_jobs.decoding` does it in
a process of its own, and what comes back is looked at as anything foreign is. Input pictures have
been checked (`media_jobs.pictures`), providers' are here.
"""

from typing import Literal

import msgspec

from ccapi.core.confined.bench import Limits
from media_jobs import pictures
from media_jobs.drivers.http import failed
from media_jobs.types import Made, Picture

Changes = Literal["white", "black"]  # what a model's masks have where the picture is to change

# Measured with 40 million pixels of noise: 36 s and 1.3 GB as a WebP, 28 s and 0.7 GB as a PNG.
LIMITS = Limits(
    seconds=90.0,
    memory_bytes=1536 * pictures.MEBIBYTE,
    answer_bytes=256 * pictures.MEBIBYTE,
)


async def as_png(picture: Picture) -> Picture:
    """The same as a PNG, for who takes no GIF or WebP. Raises: DriverFailed."""
    if picture.media_type == "image/png":
        return picture
    return await _prepared("written_as", picture, wanted="PNG")


async def transparent_mask(mask: Picture) -> Picture:
    """A PNG, transparent where the picture is to change. Raises: DriverFailed."""
    return await _prepared("transparent_mask", mask)


async def painted_mask(mask: Picture, changes: Changes) -> Picture:
    """A PNG in black and white without transparency. Raises: DriverFailed."""
    return await _prepared("painted_mask", mask, changes=changes)


async def made_into(made: Made, output_format: str) -> Made:
    """In the format that was asked for, where a provider has only its own.

    Raises: pictures.NotAPicture.
    """
    found = pictures.header(made.data)
    if not output_format or found.media_type == f"image/{output_format}":
        return made
    media_type = f"image/{output_format}"
    data = await _converted("written_as", made.data, media_type, wanted=output_format.upper())
    return msgspec.structs.replace(made, data=data, media_type=media_type)


async def _prepared(function: str, picture: Picture, **arguments: str) -> Picture:
    try:
        data = await _converted(function, picture.data, "image/png", **arguments)
    except pictures.NotAPicture as error:
        raise failed("invalid", f"A picture cannot be made into a PNG: {error}.") from error
    return msgspec.structs.replace(picture, data=data, media_type="image/png")


async def _converted(function: str, data: bytes, media_type: str, **arguments: str) -> bytes:
    """Raises: pictures.NotAPicture."""
    found = await pictures.small(data)
    done = await pictures.decoded(function, data, found, limits=LIMITS, **arguments)
    if pictures.header(done) != msgspec.structs.replace(found, media_type=media_type):
        raise pictures.NotAPicture("it became something else")
    return done
