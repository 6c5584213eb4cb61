"""What an image request says: both bodies → one `ImageRequest`, its pictures still by reference.

`/images/generations` is OpenAI's, drop-in; `/images/generate` has contents and parameters of its
own. Here every field is read with its type and its range. A parameter that is known to some
provider only goes into `extras`: the driver passes it on, reports it, or refuses it by name.

Without `response_format`, generations answers as OpenAI would: base64 for models of the GPT Image
family, which know no other form there and whose clients read `b64_json`; links for all others.
Source: https://platform.openai.com/docs/api-reference/images/create
"""

import re
from collections.abc import Mapping
from math import gcd

import msgspec

from ccapi.core.errors import InvalidParameter, MissingParameter, UnsupportedParameter
from gateway.protocols.shared import fields, raws
from media_jobs.types import ImageRequest, Operation, Reference, ResponseFormat

COUNT_MAX = 10
IMAGES_MAX = 16
MODELS_MAX = 16
PROMPT_MAX = 32_000  # characters
TEXT_MAX = 512  # of any other text
URL_MAX = 2048
EXTRAS_MAX = 32
SIDE_MIN, SIDE_MAX = 16, 16_384
STEPS_MAX = 500
GUIDANCE_MAX = 100.0
OUTPUT_FORMATS = ("png", "jpeg", "webp")
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = ("url", "b64_json")

_SIZE = re.compile(r"(\d{1,5})[xX*](\d{1,5})")
_RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")
_BASE64_ALONE = re.compile(r"(?:^|/)(?:gpt-image|chatgpt-image)")

Object = Mapping[str, raws.Raw]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was read; `inputs.fetched` makes it whole."""

    request: ImageRequest
    images: tuple[Reference, ...] = ()
    mask: Reference | None = None
    webhook_url: str = ""


# Fields by what reads them; whatever else a body has is an extra.
_PARAMETERS = frozenset(
    [
        "width",
        "height",
        "size",
        "aspect_ratio",
        "quality",
        "seed",
        "steps",
        "guidance_scale",
        "negative_prompt",
        "strength",
        "output_format",
        "response_format",
        "user",
    ]
)
_GENERATIONS = _PARAMETERS | {"model", "models", "prompt", "n", "stream", "partial_images"}
_GENERATE = frozenset(["model", "models", "contents", "parameters", "webhook_url", "user"])
_GENERATE_PARAMETERS = _PARAMETERS | {"num_images", "n"}
# Extras that have one meaning everywhere are looked at here, once.
_EXTRA_TEXTS = (
    "style",
    "background",
    "moderation",
    "input_fidelity",
    "complexity",
    "safety_identifier",
)


def generations(body: Object) -> Asked:
    """A body of `/images/generations`. Raises: InvalidRequest, naming the field in `param`."""
    if fields.flag(body, "stream"):
        raise UnsupportedParameter(
            "Images are not streamed. Use POST /images/generate with 'Prefer: respond-async' and"
            " follow the job's progress instead.",
            param="stream",
        )
    if fields.integer(body, "partial_images", minimum=0):
        raise UnsupportedParameter("No partial images: they need a stream.", param="partial_images")
    models = _models(body)
    prompt = _prompt(fields.required(fields.text(body, "prompt"), "prompt"), "prompt")
    response_format = _response_format(body, "")
    if response_format is None:
        bare = any(_BASE64_ALONE.search(model) for model in models)
        response_format = "b64_json" if bare else "url"
    request = _request(
        body,
        "",
        known=_GENERATIONS,
        start=ImageRequest(
            models=models,
            prompt=prompt,
            count=_bounded(body, "n", "", 1, COUNT_MAX) or 1,
            response_format=response_format,
        ),
    )
    if request.strength is not None:
        raise InvalidParameter("'strength' needs an input image.", param="strength")
    return Asked(request=request)


def generate(body: Object) -> Asked:
    """A body of `/images/generate`. Raises: InvalidRequest, naming the field in `param`."""
    for name in body:
        if name not in _GENERATE:
            where = f" Did you mean 'parameters.{name}'?" if name in _GENERATE_PARAMETERS else ""
            raise UnsupportedParameter(f"Unknown parameter {name[:64]!r}.{where}", param=name[:64])
    texts, images, masks = _contents(body)
    if not texts:
        raise MissingParameter("'contents' has no text to follow.", param="contents")
    if len(images) > IMAGES_MAX:
        raise InvalidParameter(
            f"'contents' may have at most {IMAGES_MAX} images, not {len(images)}.", param="contents"
        )
    if len(masks) > 1:
        raise InvalidParameter("'contents' may have one mask only.", param=masks[1].at)
    if masks and not images:
        raise InvalidParameter("A mask needs the image that it is for.", param=masks[0].at)
    told = fields.table(body, "parameters") or {}
    within = "parameters."
    request = _request(
        told,
        within,
        known=_GENERATE_PARAMETERS,
        start=ImageRequest(
            models=_models(body),
            prompt=_prompt("\n\n".join(texts), "contents"),
            operation=_operation(images, masks),
            count=_count(told, within),
            response_format=_response_format(told, within) or "url",
            user=_text(body, "user", ""),
        ),
    )
    if request.strength is not None and not images:
        raise InvalidParameter("'strength' needs an input image.", param=within + "strength")
    return Asked(
        request=request,
        images=tuple(images),
        mask=masks[0] if masks else None,
        webhook_url=_text(body, "webhook_url", "", maximum=URL_MAX),
    )


def _operation(images: list[Reference], masks: list[Reference]) -> Operation:
    if masks:
        return "inpainting"
    if not images:
        return "text-to-image"
    return "image-to-image" if len(images) == 1 else "remix"


def _models(body: Object) -> tuple[str, ...]:
    """The failover order: `model` comes first."""
    first = fields.text(body, "model")
    names = ([first] if first else []) + list(fields.texts(body, "models") or ())
    models = tuple(dict.fromkeys(name for name in names if name))
    if not models:
        raise MissingParameter("'model' (or 'models') is required.", param="model")
    if len(models) > MODELS_MAX:
        raise InvalidParameter(f"At most {MODELS_MAX} models.", param="models")
    for name in models:
        if len(name) > TEXT_MAX:
            raise InvalidParameter("A model's name is too long.", param="model")
    return models


def _prompt(text: str, param: str) -> str:
    if not text.strip():
        raise InvalidParameter("The prompt is empty.", param=param)
    if len(text) > PROMPT_MAX:
        raise InvalidParameter(
            f"The prompt has {len(text)} characters; at most {PROMPT_MAX}.", param=param
        )
    if "\0" in text:
        raise InvalidParameter("The prompt has a NUL character.", param=param)
    return text


def _contents(body: Object) -> tuple[list[str], list[Reference], list[Reference]]:
    contents = fields.required(fields.tables(body, "contents"), "contents")
    texts: list[str] = []
    images: list[Reference] = []
    masks: list[Reference] = []
    for position, part in enumerate(contents):
        at = f"contents[{position}]"
        said = [name for name in part if fields.get(part, name) is not None]
        if len(said) != 1 or said[0] not in ("text", "image", "mask"):
            raise InvalidParameter(
                f"'{at}' must be one of {{text}}, {{image}} or {{mask}}.", param=at
            )
        if said[0] == "text":
            texts.append(fields.text(part, "text", within=at + ".") or "")
        else:
            listed = images if said[0] == "image" else masks
            listed.append(_reference(part, said[0], at))
    return [text for text in texts if text.strip()], images, masks


def _reference(part: Object, name: str, at: str) -> Reference:
    """`{url}` or `{data, mime_type}`; either may hold a data URL."""
    within = f"{at}.{name}."
    told = fields.table(part, name, within=at + ".") or {}
    for field in told:
        if field not in ("url", "data", "mime_type"):
            raise UnsupportedParameter(
                f"Unknown field {field[:64]!r}: an {name} has url, or data and mime_type.",
                param=within + field[:64],
            )
    url = fields.text(told, "url", within=within) or ""
    data = fields.text(told, "data", within=within) or ""
    media_type = fields.text(told, "mime_type", within=within) or ""
    if bool(url) == bool(data):
        raise InvalidParameter(f"'{at}.{name}' must have either url or data.", param=f"{at}.{name}")
    if url[:5].lower() != "data:" and len(url) > URL_MAX:
        raise InvalidParameter(f"A URL has at most {URL_MAX} characters.", param=within + "url")
    return Reference(at=f"{at}.{name}", url=url, data=data, media_type=media_type)


def _request(
    told: Object, within: str, *, known: frozenset[str], start: ImageRequest
) -> ImageRequest:
    """`start`, and what both bodies spell alike."""
    width, height = _dimensions(told, within)
    return msgspec.structs.replace(
        start,
        width=width,
        height=height,
        aspect_ratio=_aspect_ratio(told, within, width, height),
        quality=_quality(told, within),
        seed=_bounded(told, "seed", within, 0, 2**63 - 1),
        steps=_bounded(told, "steps", within, 1, STEPS_MAX),
        guidance_scale=_number(told, "guidance_scale", within, GUIDANCE_MAX),
        negative_prompt=_text(told, "negative_prompt", within, maximum=PROMPT_MAX),
        strength=_number(told, "strength", within, 1.0),
        output_format=_output_format(told, within),
        user=start.user or _text(told, "user", within),
        extras=_extras(told, within, known),
    )


def _dimensions(told: Object, within: str) -> tuple[int | None, int | None]:
    """`size` as OpenAI writes it, or `width` with `height`."""
    width = _bounded(told, "width", within, SIDE_MIN, SIDE_MAX)
    height = _bounded(told, "height", within, SIDE_MIN, SIDE_MAX)
    if (width is None) != (height is None):
        missing = "height" if height is None else "width"
        raise MissingParameter(
            f"'{within}width' and '{within}height' come together.", param=within + missing
        )
    size = fields.text(told, "size", within=within)
    if size is None or size == "auto":
        return width, height
    param = within + "size"
    found = _SIZE.fullmatch(size)
    if found is None:
        raise InvalidParameter(
            f"'{param}' must be WIDTHxHEIGHT or auto, not {size[:64]!r}.", param=param
        )
    sides = int(found[1]), int(found[2])
    if min(sides) < SIDE_MIN or max(sides) > SIDE_MAX:
        raise InvalidParameter(
            f"'{param}': each side must be {SIDE_MIN} to {SIDE_MAX} pixels.", param=param
        )
    if width is not None and (width, height) != sides:
        raise InvalidParameter(f"'{param}' contradicts width and height.", param=param)
    return sides


def _aspect_ratio(told: Object, within: str, width: int | None, height: int | None) -> str:
    """In lowest terms but as usual (21:9 stays); "" where the size says it already."""
    ratio = fields.text(told, "aspect_ratio", within=within)
    if ratio is None or ratio == "auto":
        return ""
    param = within + "aspect_ratio"
    found = _RATIO.fullmatch(ratio)
    if found is None or not int(found[1]) or not int(found[2]):
        raise InvalidParameter(f"'{param}' must be like 16:9, not {ratio[:64]!r}.", param=param)
    across, down = int(found[1]), int(found[2])
    if width is not None and height is not None:
        if width * down != height * across:
            raise InvalidParameter(f"'{param}' contradicts the size {width}x{height}.", param=param)
        return ""
    if gcd(across, down) > 1 and (across, down) not in ((21, 9), (9, 21), (10, 16), (16, 10)):
        common = gcd(across, down)
        across, down = across // common, down // common
    return f"{across}:{down}"


def _quality(told: Object, within: str) -> str:
    """Empty where the provider may choose."""
    quality = _text(told, "quality", within, maximum=32)
    return "" if quality == "auto" else quality


def _output_format(told: Object, within: str) -> str:
    name = (fields.text(told, "output_format", within=within) or "").lower()
    name = "jpeg" if name == "jpg" else name
    if name and name not in OUTPUT_FORMATS:
        raise UnsupportedParameter(
            f"'{within}output_format' must be one of {', '.join(OUTPUT_FORMATS)}.",
            param=within + "output_format",
            details={"allowed": list(OUTPUT_FORMATS)},
        )
    return name


def _response_format(told: Object, within: str) -> ResponseFormat | None:
    name = fields.text(told, "response_format", within=within)
    if name is None:
        return None
    for known in RESPONSE_FORMATS:
        if name == known:
            return known
    raise InvalidParameter(
        f"'{within}response_format' must be url or b64_json, not {name[:64]!r}.",
        param=within + "response_format",
    )


def _count(told: Object, within: str) -> int:
    """`num_images`, or `n` as OpenAI calls it."""
    count = _bounded(told, "num_images", within, 1, COUNT_MAX)
    again = _bounded(told, "n", within, 1, COUNT_MAX)
    if count is not None and again is not None and count != again:
        raise InvalidParameter("'n' contradicts 'num_images'.", param=within + "n")
    return count or again or 1


def _extras(told: Object, within: str, known: frozenset[str]) -> dict[str, raws.Raw]:
    """Everything else that is set, raw; what is known of it is of its type."""
    extras = {
        name: value.copy()
        for name, value in told.items()
        if name not in known and raws.is_set(value)
    }
    if len(extras) > EXTRAS_MAX:
        raise InvalidParameter(f"More than {EXTRAS_MAX} further parameters.", param=within[:-1])
    for name in _EXTRA_TEXTS:
        _text(told, name, within)
    _bounded(told, "output_compression", within, 0, 100)
    return extras


def _text(told: Object, name: str, within: str, *, maximum: int = TEXT_MAX) -> str:
    text = fields.text(told, name, within=within) or ""
    if len(text) > maximum or "\0" in text:
        raise InvalidParameter(
            f"'{within}{name}' may have at most {maximum} characters.", param=within + name
        )
    return text


def _bounded(told: Object, name: str, within: str, minimum: int, maximum: int) -> int | None:
    value = fields.integer(told, name, minimum=minimum, within=within)
    if value is not None and value > maximum:
        raise InvalidParameter(
            f"'{within}{name}' must be at most {maximum}, not {value}.", param=within + name
        )
    return value


def _number(told: Object, name: str, within: str, maximum: float) -> float | None:
    value = fields.number(told, name, within=within)
    if value is not None and not 0 <= value <= maximum:
        raise InvalidParameter(
            f"'{within}{name}' must be from 0 to {maximum:g}.", param=within + name
        )
    return value
