"""Gemini's picture models, by `generateContent` with pictures as its answer.

One call makes one picture, so several are several calls; each has the seed after the last one's.
A size is told as an aspect ratio and one of four resolutions, so exactly the sizes that these make
can be asked for. There are no masks. Pictures that are thoughts are not delivered.

Sources: https://ai.google.dev/gemini-api/docs/image-generation,
https://ai.google.dev/api/generate-content (read 2026-11-22)
"""

import base64
import re
from typing import NamedTuple

import msgspec

from ccapi.core.usage import Usage
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.stops import decode_stop
from gateway.protocols.gemini.usage import decode_usage
from gateway.protocols.registry import CODECS
from media_jobs.drivers import deliveries, http, shapes
from media_jobs.drivers.base import DriverFailed, Target
from media_jobs.types import Delivered, ImageRequest, Pending, Started

CODEC = CODECS["gemini"]
SEED_MAX = 2**31 - 1  # Gemini's is an int32

# Ratio → the pixels of 1K; the other resolutions are their multiples.
_FLASH_2 = {
    "1:1": "1024x1024",
    "2:3": "832x1248",
    "3:2": "1248x832",
    "3:4": "864x1184",
    "4:3": "1184x864",
    "4:5": "896x1152",
    "5:4": "1152x896",
    "9:16": "768x1344",
    "16:9": "1344x768",
    "21:9": "1536x672",
}
_GEMINI_3 = {
    "1:1": "1024x1024",
    "2:3": "848x1264",
    "3:2": "1264x848",
    "3:4": "896x1200",
    "4:3": "1200x896",
    "4:5": "928x1152",
    "5:4": "1152x928",
    "9:16": "768x1376",
    "16:9": "1376x768",
    "21:9": "1584x672",
}


class Family(NamedTuple):
    """What a family of models takes."""

    models: str  # a pattern of the upstream's names
    ratios: dict[str, str]
    resolutions: tuple[str, ...]  # "" alone: it has but one, and no name for it
    images_max: int


FAMILIES = (
    Family(r"gemini-2", _FLASH_2, ("",), 16),
    Family(r"", _GEMINI_3, ("1K", "2K", "4K"), 14),
)

_NO_COUNTERPART = ("steps", "guidance_scale", "negative_prompt", "strength")
_DROPPED = frozenset(
    ["moderation", "safety_identifier", "complexity", "input_fidelity", "output_compression"]
)
_HARMLESS = {"background": (b'"auto"', b'"opaque"')}
_IMAGE_SIZE = "image_size"  # Google's own name for the resolution


class Shape(NamedTuple):
    """How Gemini is told what to make; "" where it was not said."""

    ratio: str = ""
    resolution: str = ""


class Gemini:
    """See `drivers.base.Driver`."""

    name = "gemini"
    is_async = False

    def check(self, request: ImageRequest, target: Target) -> tuple[str, ...]:
        family = family_of(target.upstream_model)
        for name in _NO_COUNTERPART:
            if getattr(request, name) not in (None, ""):
                raise shapes.refuse(name, f"This model has no {name}.")
        if request.quality:
            raise shapes.refuse("quality", "This model has one quality.", ("auto",))
        if request.mask is not None:
            raise shapes.refuse("contents", "This model takes no masks: describe what to change.")
        if len(request.images) > family.images_max:
            raise shapes.refuse("contents", f"This model takes at most {family.images_max} images.")
        if request.seed is not None and request.seed > SEED_MAX - request.count:
            raise shapes.refuse("seed", f"This model's seeds end below {SEED_MAX}.")
        _shape(request, family)
        dropped = ["user"] if request.user else []
        for name, value in request.extras.items():
            if name in _DROPPED:
                dropped.append(name)
            elif name != _IMAGE_SIZE and bytes(value) not in _HARMLESS.get(name, ()):
                raise shapes.refuse(name, f"This model has no {name!r}.")
        return tuple(dropped)

    def variant(self, request: ImageRequest, target: Target) -> tuple[str, str]:
        """The size in pixels; of a resolution without a ratio, the resolution's square."""
        family = family_of(target.upstream_model)
        shape = _shape(request, family)
        if not shape.ratio and not shape.resolution:
            return "", ""
        times = int(shape.resolution[:1] or "1")
        width, height = shapes.sides(family.ratios[shape.ratio or "1:1"])
        return f"{width * times}x{height * times}", ""

    async def start(
        self, request: ImageRequest, target: Target, *, reference: str, notify_url: str = ""
    ) -> Delivered | Started:
        del reference, notify_url
        self.check(request, target)

        async def call(position: int) -> Delivered:
            return await _ask(request, target, position)

        return await deliveries.several(request.count, call)

    async def poll(self, started: Started, target: Target) -> Delivered | Pending:
        del started, target
        raise TypeError("Gemini answers at once.")

    async def cancel(self, started: Started, target: Target) -> None:
        del started, target


def family_of(model: str) -> Family:
    return next(family for family in FAMILIES if re.match(family.models, model))


def _shape(request: ImageRequest, family: Family) -> Shape:
    """Raises: UnsupportedParameter."""
    resolution = _resolution(request, family)
    if request.aspect_ratio:
        if request.aspect_ratio not in family.ratios:
            raise shapes.refuse(
                "aspect_ratio", "This model does not make this ratio.", family.ratios
            )
        return Shape(request.aspect_ratio, resolution)
    size = shapes.size_of(request)
    if not size:
        return Shape("", resolution)
    sizes = _sizes(family)
    if size not in sizes:
        raise shapes.refuse("size", f"This model does not make {size}.", ("auto", *sizes))
    found = sizes[size]
    if resolution and resolution != found.resolution:
        raise shapes.refuse(_IMAGE_SIZE, f"It contradicts the size {size}.")
    return found


def _sizes(family: Family) -> dict[str, Shape]:
    """Every size in pixels, and how it is asked for."""
    sizes = {}
    for resolution in family.resolutions:
        times = int(resolution[:1] or "1")
        for ratio, size in family.ratios.items():
            width, height = shapes.sides(size)
            sizes[f"{width * times}x{height * times}"] = Shape(ratio, resolution)
    return sizes


def _resolution(request: ImageRequest, family: Family) -> str:
    raw = request.extras.get(_IMAGE_SIZE)
    if raw is None:
        return ""
    told = bytes(raw).decode().strip('"').upper()
    if told not in family.resolutions or not told:
        raise shapes.refuse(_IMAGE_SIZE, "No such resolution.", filter(None, family.resolutions))
    return told


def said(request: ImageRequest, target: Target, position: int = 0) -> dict[str, object]:
    """The body of one call."""
    parts: list[dict[str, object]] = [
        {
            "inlineData": {
                "mimeType": image.media_type,
                "data": base64.b64encode(image.data).decode(),
            }
        }
        for image in request.images
    ]
    parts.append({"text": request.prompt})
    config: dict[str, object] = {"responseModalities": ["IMAGE"]}
    shape = _shape(request, family_of(target.upstream_model))
    image_config = {
        name: value
        for name, value in (("aspectRatio", shape.ratio), ("imageSize", shape.resolution))
        if value
    }
    if image_config:
        config["imageConfig"] = image_config
    if request.seed is not None:
        config["seed"] = request.seed + position
    return {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}


async def _ask(request: ImageRequest, target: Target, position: int) -> Delivered:
    answer = await http.call(
        target,
        "POST",
        f"/models/{target.upstream_model}:generateContent",
        default_auth=CODEC.default_auth,
        json=said(request, target, position),
    )
    if not answer.is_success:
        raise DriverFailed(CODEC.decode_error(answer.status, answer.headers, answer.body))
    seed = None if request.seed is None else request.seed + position
    try:
        told = wire.decode_answer(answer.body)
        parts = _parts(told, seed)
        usage = decode_usage(told.usage_metadata) or Usage()
        if not parts:
            raise _refusal(told, answer)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise http.garbled(answer) from error
    return await deliveries.delivered(
        deliveries.made(parts),
        usage,
        count=1,
        output_format=request.output_format,
        request_id=told.response_id or "",
    )


def _parts(told: wire.Answer, seed: int | None) -> list[deliveries.Part]:
    found = []
    for candidate in told.candidates or ():
        for raw in (candidate.content.parts if candidate.content else None) or ():
            part = wire.decode_part(raw)
            blob = part.inline_data
            if blob is not None and blob.data and not part.thought:
                found.append(deliveries.Part(blob.data, seed=seed))
    return found


def _refusal(told: wire.Answer, answer: http.Answer) -> DriverFailed:
    """Why there is no picture: the policy's word, or the model's whim."""
    if wire.is_set(told.error):
        return DriverFailed(CODEC.decode_error(answer.status, answer.headers, answer.body))
    blocked = ""
    if wire.is_set(told.prompt_feedback):
        blocked = wire.decode_feedback(told.prompt_feedback).block_reason or ""
    reasons = [candidate.finish_reason or "" for candidate in told.candidates or ()]
    word = blocked or next(iter(reasons), "")
    if blocked or decode_stop(word, has_calls=False) == "content_filter":
        return http.failed(
            "content_refused",
            f"The provider's policy refused this request ({word}).",
            code=word,
        )
    return http.failed(
        "server", f"The model made no picture ({word or 'no reason told'}).", code=word
    )
