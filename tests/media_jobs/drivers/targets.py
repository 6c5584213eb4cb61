"""Values for tests of drivers: who is asked, and for what."""

import asyncio
import base64
import io
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from PIL import Image

from catalog.types import Model, Provider, Timeouts
from media_jobs import pictures
from media_jobs.drivers import http
from media_jobs.drivers.base import Target
from media_jobs.types import ImageRequest, Picture
from tests.fakes.vendors import Vendor, png

T = TypeVar("T")


def target(vendor: Vendor | str, model: str, *, key: str = "", total_s: float = 5.0) -> Target:
    """A model at a vendor, by its upstream name; `key` in place of the vendor's own."""
    base_url = vendor if isinstance(vendor, str) else vendor.base_url
    provider = Provider(
        id=1,
        name="vendor",
        display_name="Vendor",
        protocol="openai",
        base_url=base_url,
        timeouts=Timeouts(connect=1.0, total=total_s),
    )
    entry = Model(
        id=f"vendor/{model}",
        provider="vendor",
        type="image",
        display_name=model,
        created=0,
        context_length=0,
        max_output_tokens=0,
        capabilities=frozenset(),
        input_modalities=("text",),
        output_modalities=("image",),
        priority=0,
        price=None,
        offers=(),
    )
    key = key or ("" if isinstance(vendor, str) else vendor.key)
    return Target(provider=provider, model=entry, upstream_model=model, key=key)


def request(prompt: str = "a hare", **told: Any) -> ImageRequest:  # noqa: ANN401
    extras = {
        name: msgspec.Raw(msgspec.json.encode(v)) for name, v in told.pop("extras", {}).items()
    }
    return ImageRequest(models=("vendor/model",), prompt=prompt, extras=extras, **told)


def picture(width: int = 64, height: int = 48, kind: str = "PNG", shade: int = 1) -> Picture:
    data = png(width, height, shade)
    if kind != "PNG":
        written = io.BytesIO()
        Image.open(io.BytesIO(data)).save(written, kind)
        data = written.getvalue()
    found = pictures.header(data)
    return Picture(data=data, media_type=found.media_type, width=width, height=height)


def mask(width: int = 64, height: int = 48, *, transparent: bool = True) -> Picture:
    """To be changed: the left half."""
    if transparent:
        drawn = Image.new("RGBA", (width, height), (0, 0, 0, 255))
        drawn.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    else:
        drawn = Image.new("L", (width, height), 0)
        drawn.paste(255, (0, 0, width // 2, height))
    written = io.BytesIO()
    drawn.save(written, "PNG")
    return Picture(data=written.getvalue(), media_type="image/png", width=width, height=height)


def decoded(data: bytes | str) -> Image.Image:
    if isinstance(data, str):
        data = base64.b64decode(data.partition(",")[2] or data)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own, whose clients are closed with it."""

    async def and_close() -> T:
        try:
            return await work
        finally:
            await http.close()

    return asyncio.run(and_close())
