"""OpenAI's image API, and everybody who speaks it: generations, and edits as a form.

What each family of models takes is a row of `openai_families`. `dall-e-3` makes one picture a call,
so several are several calls. Pictures are asked for in base64 where the family knows
`response_format`; links are fetched.

Source: https://platform.openai.com/docs/api-reference/images (read 2026-11-22)
"""

from collections.abc import Mapping

import msgspec

from ccapi.core.usage import Usage, count
from gateway.protocols.registry import CODECS
from gateway.protocols.shared import raws
from gateway.protocols.shared.openai_fields import take
from media_jobs import pictures
from media_jobs.drivers import conversion, deliveries, http, shapes
from media_jobs.drivers.base import DriverFailed, Target
from media_jobs.drivers.openai_families import (
    EDGE_MAX,
    PIXELS_MAX,
    PIXELS_USUAL,
    RATIO_MAX,
    Family,
    family_of,
)
from media_jobs.types import Delivered, ImageRequest, Made, Pending, Picture, Started

CODEC = CODECS["openai"]
GENERATIONS, EDITS = "/images/generations", "/images/edits"


# What other providers call by these names has no counterpart in OpenAI's API.
_NO_COUNTERPART = ("steps", "guidance_scale", "negative_prompt", "strength")
# Without them the picture is the same, or what the parameter says is so anyway.
_DROPPED = frozenset(["moderation", "safety_identifier", "complexity"])
_HARMLESS = {"background": (b'"auto"', b'"opaque"')}


class _Image(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None
    seed: int | None = None  # compatible servers that take one tell it


class _Details(msgspec.Struct):
    text_tokens: int | float | None = None
    image_tokens: int | float | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answer(msgspec.Struct):
    data: list[_Image] | None = None
    usage: raws.Raw = raws.Raw()


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode


class OpenAI:
    """See `drivers.base.Driver`."""

    name = "openai"
    is_async = False

    def check(self, request: ImageRequest, target: Target) -> tuple[str, ...]:
        family = family_of(target.upstream_model)
        for name in _NO_COUNTERPART:
            if getattr(request, name) not in (None, ""):
                raise shapes.refuse(name, f"This model has no {name}.")
        _size(request, family)
        if request.quality and family.qualities and request.quality not in family.qualities:
            raise shapes.refuse(
                "quality",
                f"This model has no quality {request.quality!r}.",
                ("auto", *family.qualities),
            )
        _check_images(request, family, target)
        dropped = _dropped_extras(request, family)
        if request.seed is not None and not family.knows_seed:
            dropped.append("seed")
        return tuple(dropped)

    def variant(self, request: ImageRequest, target: Target) -> tuple[str, str]:
        return _size(request, family_of(target.upstream_model)), request.quality

    async def start(
        self, request: ImageRequest, target: Target, *, reference: str, notify_url: str = ""
    ) -> Delivered | Started:
        del notify_url
        self.check(request, target)
        family = family_of(target.upstream_model)
        if not family.is_single:
            return await _ask(request, family, target, reference)
        one = msgspec.structs.replace(request, count=1)

        async def call(_: int) -> Delivered:
            return await _ask(one, family, target, reference)

        return await deliveries.several(request.count, call)

    async def poll(self, started: Started, target: Target) -> Delivered | Pending:
        del started, target
        raise TypeError("OpenAI answers at once.")

    async def cancel(self, started: Started, target: Target) -> None:
        del started, target


def _size(request: ImageRequest, family: Family) -> str:
    """As OpenAI is asked for it; "" lets it choose. Raises: UnsupportedParameter."""
    allowed = ("auto", *family.sizes)
    if request.aspect_ratio:
        if not family.sizes:
            raise shapes.refuse("aspect_ratio", "This model takes a size, not a ratio.")
        size = shapes.of_ratio(family.sizes, request.aspect_ratio)
        if not size and family.multiple and _is_within(request.aspect_ratio):
            size = shapes.largest(
                request.aspect_ratio, multiple=family.multiple, pixels_max=PIXELS_USUAL
            )
        if not size:
            ratios = sorted({shapes.ratio_of(*shapes.sides(each)) for each in family.sizes})
            raise shapes.refuse("aspect_ratio", "This model does not make this ratio.", ratios)
        return size
    size = shapes.size_of(request)
    if not size or not family.sizes or size in family.sizes:
        return size
    if not family.multiple:
        raise shapes.refuse("size", f"This model does not make {size}.", allowed)
    width, height = shapes.sides(size)
    if (
        width % family.multiple
        or height % family.multiple
        or max(width, height) > EDGE_MAX
        or width * height > PIXELS_MAX
        or not _is_within(size.replace("x", ":"))
    ):
        raise shapes.refuse(
            "size",
            f"This model does not make {size}: sides are multiples of {family.multiple} up to"
            f" {EDGE_MAX}, {PIXELS_MAX} pixels at most, in ratios from 1:{RATIO_MAX} to"
            f" {RATIO_MAX}:1.",
        )
    return size


def _is_within(ratio: str) -> bool:
    across, _, down = ratio.partition(":")
    return max(int(across), int(down)) <= RATIO_MAX * min(int(across), int(down))


def _check_images(request: ImageRequest, family: Family, target: Target) -> None:
    if not request.images:
        return
    takes_images = bool(family.models) or "image" in target.model.input_modalities
    images_max = family.images_max if takes_images else 0
    if len(request.images) > images_max:
        most = f"at most {images_max} images" if images_max else "no images"
        raise shapes.refuse("contents", f"This model takes {most}.")


def _dropped_extras(request: ImageRequest, family: Family) -> list[str]:
    dropped: list[str] = []
    for name, value in request.extras.items():
        if name in family.takes and (name != "input_fidelity" or request.images):
            continue
        if name in _DROPPED or (name == "output_compression" and not request.output_format):
            dropped.append(name)
        elif bytes(value) not in _HARMLESS.get(name, ()):
            raise shapes.refuse(name, f"This model has no {name!r}.")
    return dropped


async def _ask(request: ImageRequest, family: Family, target: Target, reference: str) -> Delivered:
    headers = {"x-client-request-id": reference}  # told in OpenAI's logs, no idempotency key
    said = _said(request, family, target)
    if request.images:
        answer = await http.call(
            target,
            "POST",
            EDITS,
            default_auth=CODEC.default_auth,
            fields={name: _as_field(value) for name, value in said.items()},
            files=await _files(request, family),
            headers=headers,
        )
    else:
        answer = await http.call(
            target,
            "POST",
            GENERATIONS,
            default_auth=CODEC.default_auth,
            json=said,
            headers=headers,
        )
    if not answer.is_success:
        raise DriverFailed(CODEC.decode_error(answer.status, answer.headers, answer.body))
    return await _read(answer, request, family, target)


def _said(request: ImageRequest, family: Family, target: Target) -> Mapping[str, object]:
    """The request but for its pictures."""
    said: dict[str, object] = {
        "model": target.upstream_model,
        "prompt": request.prompt,
        "n": request.count,
    }
    size = _size(request, family)
    if size:
        said["size"] = size
    if request.quality:
        said["quality"] = request.quality
    if family.knows_response_format:
        said["response_format"] = "b64_json"
    if request.output_format and family.knows_output_format:
        said["output_format"] = request.output_format
    if request.seed is not None and family.knows_seed:
        said["seed"] = request.seed
    if request.user:
        said["user"] = request.user
    dropped = _dropped_extras(request, family)
    said.update(
        {
            name: value
            for name, value in request.extras.items()
            if name in family.takes and name not in dropped
        }
    )
    return said


def _as_field(value: object) -> str:
    """A form has texts only."""
    if isinstance(value, raws.Raw):
        value = msgspec.json.decode(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def _files(request: ImageRequest, family: Family) -> list[tuple[str, tuple[str, bytes, str]]]:
    name = "image" if len(request.images) == 1 else "image[]"
    files = []
    for position, image in enumerate(request.images):
        sent = image
        if image.media_type not in family.image_types:
            sent = await conversion.as_png(image)
        files.append((name, _file(f"image-{position}", sent)))
    if request.mask is not None:
        mask = await conversion.transparent_mask(request.mask)
        files.append(("mask", _file("mask", mask)))
    return files


def _file(stem: str, picture: Picture) -> tuple[str, bytes, str]:
    name = f"{stem}.{pictures.extension(picture.media_type)}"
    return name, picture.data, picture.media_type


async def _read(
    answer: http.Answer, request: ImageRequest, family: Family, target: Target
) -> Delivered:
    try:
        told = _decode_answer(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise http.garbled(answer) from error
    if told.data is None:
        # An error object inside a success, as some compatible servers send it.
        raise DriverFailed(CODEC.decode_error(answer.status, answer.headers, answer.body))
    images = await _images(told.data[: request.count], request, family, target)
    return await deliveries.delivered(
        images,
        _counted(told.usage),
        count=request.count,
        output_format="" if family.knows_output_format else request.output_format,
        request_id=answer.headers.get("x-request-id", ""),
    )


async def _images(
    told: list[_Image], request: ImageRequest, family: Family, target: Target
) -> list[Made]:
    links = [image.url for image in told if image.url and not image.b64_json]
    fetched = iter(await http.results(target, links))
    asked = request.seed if family.knows_seed else None
    parts = []
    for image in told:
        data = image.b64_json or (next(fetched) if image.url else None)
        seed = asked if image.seed is None else image.seed
        if data is not None:
            parts.append(deliveries.Part(data, image.revised_prompt or "", seed))
    return deliveries.made(parts)


def _counted(raw: raws.Raw) -> Usage:
    """OpenAI's tokens → ours; a count that is none counts as not told."""
    if not raws.is_set(raw):
        return Usage()
    try:
        told = _decode_usage(raw)
        read, written = count(told.input_tokens), count(told.output_tokens)
        of_input = told.input_tokens_details or _Details()
        text, image = take(read, count(of_input.image_tokens))
        # Without details everything that an image model writes is image.
        of_output = told.output_tokens_details
        painted = written if of_output is None else count(of_output.image_tokens)
        output, output_image = take(written, painted)
    except (msgspec.DecodeError, ValueError):
        return Usage()
    return Usage(
        input=text, input_image=image, output=output, output_image=output_image, raw=raw.copy()
    )
