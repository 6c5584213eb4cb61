"""Input pictures: fetched by URL through the egress guard, or out of base64, and checked.

Bytes are passed on as they came; they are decoded only to know that they are whole (by
`media_jobs.pictures`, in a process of their own), few at a time, so that a request full of bombs
costs time and no memory. A refusal names the field.
"""

import asyncio
import base64
import binascii
import re

import msgspec

from ccapi.core import egress
from ccapi.core.errors import InvalidParameter
from media_jobs import pictures
from media_jobs.reading import Asked
from media_jobs.types import ImageRequest, Picture, Reference

MEBIBYTE = 1024 * 1024
BYTES_MAX = 20 * MEBIBYTE  # of one picture
BYTES_TOTAL_MAX = 64 * MEBIBYTE
FETCH_S = 15.0  # of one
FETCH_TOTAL_S = 45.0

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_WHITE = re.compile(r"\s+")


async def fetched(asked: Asked) -> ImageRequest:
    """The request with its pictures. Raises: InvalidParameter, naming the picture's field."""
    if not asked.images and asked.mask is None:
        return asked.request
    # One after the other: what is left of the total is the cap of the next.
    references = [*asked.images, *([asked.mask] if asked.mask is not None else [])]
    until = asyncio.get_running_loop().time() + FETCH_TOTAL_S
    left = BYTES_TOTAL_MAX
    found: list[Picture] = []
    for reference in references:
        picture = await _picture(reference, bytes_max=min(BYTES_MAX, left), until=until)
        left -= len(picture.data)
        found.append(picture)
    mask = found.pop() if asked.mask is not None else None
    if mask is not None and asked.mask is not None:
        _check_mask(mask, found[0], asked.mask)
    return msgspec.structs.replace(asked.request, images=tuple(found), mask=mask)


async def _picture(reference: Reference, *, bytes_max: int, until: float) -> Picture:
    declared = reference.media_type
    if reference.url and reference.url[:5].lower() != "data:":
        data = await _download(reference, bytes_max, until)
    else:
        text, within = _base64(reference)
        declared = within or declared
        if len(text) * 3 // 4 > bytes_max + MEBIBYTE:  # some of it may be line ends
            raise _too_large(reference, bytes_max)
        data = await asyncio.to_thread(_decoded, text, reference)
    if len(data) > bytes_max:
        raise _too_large(reference, bytes_max)
    kind = declared.partition(";")[0].strip().lower()
    if kind and not kind.startswith("image/") and kind != "application/octet-stream":
        raise InvalidParameter(
            f"'{reference.at}' must be an image, not {kind[:64]!r}.",
            param=f"{reference.at}.mime_type",
        )
    try:
        header = await pictures.check(data)
    except pictures.NotAPicture as error:
        raise InvalidParameter(
            f"'{reference.at}' cannot be used: {error}.", param=reference.param
        ) from error
    # What was declared may be wrong, and often is: what the bytes are counts.
    return Picture(
        data=data, media_type=header.media_type, width=header.width, height=header.height
    )


async def _download(reference: Reference, bytes_max: int, until: float) -> bytes:
    seconds = min(FETCH_S, until - asyncio.get_running_loop().time())
    if seconds <= 0:
        raise InvalidParameter(
            f"'{reference.at}': fetching the images takes too long.", param=reference.param
        )
    try:
        answer = await egress.fetch(reference.url, bytes_max=bytes_max, seconds=seconds)
    except egress.EgressRefused as error:
        raise InvalidParameter(
            f"'{reference.at}.url' may not be fetched: {error.reason}.", param=reference.param
        ) from error
    except egress.EgressFailed as error:
        raise InvalidParameter(
            f"'{reference.at}.url' could not be fetched: {error.reason}.", param=reference.param
        ) from error
    return answer.data


def _base64(reference: Reference) -> tuple[str, str]:
    """The text, and the type that its data URL declares."""
    text = reference.data or reference.url
    found = _DATA_URL.match(text)
    if found is None:
        if reference.url or text[:5].lower() == "data:":
            raise InvalidParameter(f"'{reference.at}' is no valid data URL.", param=reference.param)
        return text, ""
    if "base64" not in found[2].lower().split(";"):
        raise InvalidParameter(
            f"'{reference.at}': a data URL must be in base64.", param=reference.param
        )
    return text[found.end() :], found[1]


def _decoded(text: str, reference: Reference) -> bytes:
    """Of either alphabet, with line ends, with or without its padding."""
    compact = _WHITE.sub("", text).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    compact += "=" * (-len(compact) % 4)
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(
            f"'{reference.at}' is not valid base64.", param=reference.param
        ) from error


def _too_large(reference: Reference, bytes_max: int) -> InvalidParameter:
    return InvalidParameter(
        f"'{reference.at}' is larger than the {bytes_max} bytes that are left for it"
        f" ({BYTES_MAX // MEBIBYTE} MB an image, {BYTES_TOTAL_MAX // MEBIBYTE} MB in all).",
        param=reference.param,
    )


def _check_mask(mask: Picture, image: Picture, reference: Reference) -> None:
    if (mask.width, mask.height) != (image.width, image.height):
        raise InvalidParameter(
            f"The mask has {mask.width} x {mask.height} pixels, the image that it is for"
            f" {image.width} x {image.height}: they must be the same.",
            param=reference.at,
        )
