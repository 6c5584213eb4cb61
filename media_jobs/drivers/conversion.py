"""Pictures made into what the other side takes: formats, and the two ways of drawing a mask.

A mask of ours is OpenAI's, transparent where the picture is to change; one without transparency is
read as most image models read theirs, white where it is to change. Pillow decodes, so all of this
is for a thread; input pictures have been checked (`media_jobs.pictures`), providers' are here.
"""

import io
from typing import Literal

import msgspec
from PIL import Image, ImageOps

from media_jobs import pictures
from media_jobs.types import Made, Picture

Changes = Literal["white", "black"]  # what a model's masks have where the picture is to change


def as_png(picture: Picture) -> Picture:
    """The same as a PNG, for who takes no GIF or WebP."""
    if picture.media_type == "image/png":
        return picture
    with _opened(picture.data) as image:
        return _as(picture, image.convert("RGBA" if image.has_transparency_data else "RGB"))


def transparent_mask(mask: Picture) -> Picture:
    """A PNG, transparent where the picture is to change."""
    with _opened(mask.data) as image:
        if image.has_transparency_data:
            return as_png(mask)
        kept = ImageOps.invert(image.convert("L"))
    drawn = Image.new("RGBA", kept.size)
    drawn.putalpha(kept)
    return _as(mask, drawn)


def painted_mask(mask: Picture, changes: Changes) -> Picture:
    """A PNG in black and white without transparency."""
    with _opened(mask.data) as image:
        if image.has_transparency_data:
            white = ImageOps.invert(image.convert("RGBA").getchannel("A"))
        else:
            white = image.convert("L")
    return _as(mask, white if changes == "white" else ImageOps.invert(white))


def made_into(made: Made, output_format: str) -> Made:
    """In the format that was asked for, where a provider has only its own.

    Raises: pictures.NotAPicture.
    """
    found = pictures.header(made.data)
    if not output_format or found.media_type == f"image/{output_format}":
        return made
    pictures.check(made.data)
    with pictures.opened(made.data, found) as image:
        transparent = image.has_transparency_data and output_format != "jpeg"
        plain = image.convert("RGBA") if transparent else _on_white(image)
    data = _written(plain, output_format)
    return msgspec.structs.replace(made, data=data, media_type=f"image/{output_format}")


def _on_white(image: Image.Image) -> Image.Image:
    """JPEG has no transparency."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    drawn = image.convert("RGBA")
    ground = Image.new("RGBA", drawn.size, "white")
    return Image.alpha_composite(ground, drawn).convert("RGB")


def _opened(data: bytes) -> Image.Image:
    return pictures.opened(data, pictures.header(data))


def _as(picture: Picture, image: Image.Image) -> Picture:
    data = _written(image, "png")
    return msgspec.structs.replace(picture, data=data, media_type="image/png")


def _written(image: Image.Image, output_format: str) -> bytes:
    written = io.BytesIO()
    quality = {} if output_format == "png" else {"quality": 95}
    image.save(written, format=output_format.upper(), **quality)
    return written.getvalue()
