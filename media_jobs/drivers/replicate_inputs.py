"""A request in the words of one of Replicate's models (`replicate_models`), or refused by name.

How many pictures are made is never left to a parameter that the customer names as the model does.
"""

from ccapi.core.errors import UnsupportedParameter
from media_jobs.drivers import shapes
from media_jobs.drivers.replicate_models import Inputs
from media_jobs.types import ImageRequest

# They would make more pictures than were asked for, and paid.
_COUNTS = frozenset(
    [
        "num_outputs",
        "num_images",
        "max_images",
        "number_of_images",
        "n",
        "batch_size",
        "sequential_image_generation",
    ]
)
_HARMLESS = {"background": (b'"auto"', b'"opaque"')}
_DROPPED = frozenset(["moderation", "safety_identifier", "complexity", "input_fidelity"])


def check(request: ImageRequest, inputs: Inputs) -> tuple[str, ...]:
    """Names of what is dropped. Raises: UnsupportedParameter."""
    if request.count > inputs.count_max:
        raise shapes.refuse(
            "n",
            f"This model makes {inputs.count_max} at a time.",
            map(str, range(1, inputs.count_max + 1)),
        )
    _check_numbers(request, inputs)
    _check_images(request, inputs)
    _shaped(request, inputs)
    if request.quality and request.quality != "standard":
        raise shapes.refuse("quality", "This model has one quality.", ("auto", "standard"))
    dropped = ["user"] if request.user else []
    if request.seed is not None and not inputs.seed:
        dropped.append("seed")
    for name, value in request.extras.items():
        if _is_dropped(name, request, inputs):
            dropped.append(name)
        elif not _is_taken(name, inputs) and bytes(value) not in _HARMLESS.get(name, ()):
            raise shapes.refuse(name, f"This model has no {name!r}.")
    return tuple(dropped)


def said(request: ImageRequest, inputs: Inputs) -> dict[str, object]:
    """The model's input, but for its pictures. Raises: UnsupportedParameter."""
    told: dict[str, object] = {"prompt": request.prompt, **inputs.always}
    if inputs.count:
        told[inputs.count] = request.count
    told |= _shaped(request, inputs)
    for name, value in (
        (inputs.steps, request.steps),
        (inputs.guidance, request.guidance_scale),
        (inputs.strength, request.strength),
        (inputs.negative, request.negative_prompt or None),
        (inputs.seed, request.seed),
    ):
        if name and value is not None:
            told[name] = value
    output_format = spelled(request.output_format, inputs)
    if output_format:
        told["output_format"] = output_format
    for name, raw in request.extras.items():
        if name == "output_compression" and inputs.compression:
            told[inputs.compression] = raw
        elif _is_taken(name, inputs) and not _is_dropped(name, request, inputs):
            told[name] = raw
    return told


def spelled(output_format: str, inputs: Inputs) -> str:
    """As the model spells it; "" where it does not make it."""
    name = "jpg" if output_format == "jpeg" else output_format
    return name if name in inputs.output_formats else ""


def _is_taken(name: str, inputs: Inputs) -> bool:
    if name == "output_compression":
        return bool(inputs.compression)
    if inputs.takes_anything:
        return name not in _COUNTS and name not in _HARMLESS
    return name in inputs.takes


def _is_dropped(name: str, request: ImageRequest, inputs: Inputs) -> bool:
    if name in _DROPPED:
        return True
    return name == "output_compression" and not inputs.compression and not request.output_format


def _check_numbers(request: ImageRequest, inputs: Inputs) -> None:
    limits: tuple[tuple[str, float | None, str, float], ...] = (
        ("steps", request.steps, inputs.steps, inputs.steps_max),
        ("guidance_scale", request.guidance_scale, inputs.guidance, inputs.guidance_max),
        ("strength", request.strength, inputs.strength, 1.0),
    )
    for param, value, name, maximum in limits:
        if value is None:
            continue
        if not name:
            raise shapes.refuse(param, f"This model has no {param}.")
        if value > maximum:
            raise shapes.refuse(param, f"This model's {param} is at most {maximum:g}.")
    if request.negative_prompt and not inputs.negative:
        raise shapes.refuse("negative_prompt", "This model has no negative prompt.")


def _check_images(request: ImageRequest, inputs: Inputs) -> None:
    if request.images and not inputs.image:
        raise shapes.refuse("contents", "This model takes no images.")
    if len(request.images) > inputs.images_max:
        raise shapes.refuse("contents", f"This model takes at most {inputs.images_max} image(s).")
    if inputs.needs_image and not request.images:
        raise shapes.refuse("contents", "This model changes images: give it one.")
    if request.mask is not None and not inputs.mask:
        raise shapes.refuse("contents", "This model takes no masks.")


def _shaped(request: ImageRequest, inputs: Inputs) -> dict[str, object]:
    """The inputs that say how large. Raises: UnsupportedParameter."""
    if request.aspect_ratio:
        if request.aspect_ratio not in inputs.ratios:
            raise shapes.refuse(
                "aspect_ratio", "This model does not make this ratio.", inputs.ratios
            )
        return {"aspect_ratio": request.aspect_ratio}
    if request.width is None or request.height is None:
        return {}
    if inputs.side_max:
        return _by_sides(request.width, request.height, inputs)
    size = shapes.size_of(request)
    if size in inputs.sizes:
        return {"resolution": size}
    raise _no_such_size(size, inputs)


def _by_sides(width: int, height: int, inputs: Inputs) -> dict[str, object]:
    for side in (width, height):
        if not inputs.side_min <= side <= inputs.side_max or side % inputs.multiple:
            raise shapes.refuse(
                "size",
                f"This model's width and height are from {inputs.side_min} to {inputs.side_max}"
                f" pixels, multiples of {inputs.multiple}.",
            )
    switch = dict([inputs.size_switch]) if inputs.size_switch else {}
    return {**switch, "width": width, "height": height}


def _no_such_size(size: str, inputs: Inputs) -> UnsupportedParameter:
    if inputs.sizes:
        return shapes.refuse("size", f"This model does not make {size}.", inputs.sizes)
    if inputs.ratios:
        return shapes.refuse(
            "size", "This model takes an aspect_ratio in place of a size.", inputs.ratios
        )
    return shapes.refuse("size", "This model takes no size.")
