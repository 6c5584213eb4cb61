"""The families of models behind OpenAI's image API: what each takes, one row a family.

A model that is in none of them (a compatible server's) is the last row: it is sent what OpenAI's
protocol can say, and no more.

Sources: https://platform.openai.com/docs/api-reference/images,
https://developers.openai.com/api/docs/guides/image-generation (read 2026-11-22)
"""

import re

import msgspec


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What a family of models takes. `sizes` and `qualities` empty: anything."""

    models: str  # a pattern of the upstream's names
    sizes: tuple[str, ...] = ()
    multiple: int = 0  # with it: any size with sides that are multiples of so many pixels
    qualities: tuple[str, ...] = ()
    images_max: int = 16
    image_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp")
    takes: frozenset[str] = frozenset()  # further parameters, of OpenAI's names
    knows_output_format: bool = False
    knows_response_format: bool = True
    knows_seed: bool = False
    is_single: bool = False  # one picture a call


_GPT = frozenset(
    ["background", "moderation", "output_compression", "safety_identifier", "input_fidelity"]
)
_GPT_SIZES = ("1024x1024", "1536x1024", "1024x1536")

FAMILIES = (
    Family(
        models=r"gpt-image-1|chatgpt-image",
        sizes=_GPT_SIZES,
        qualities=("low", "medium", "high"),
        takes=_GPT,
        knows_output_format=True,
        knows_response_format=False,
    ),
    Family(
        models=r"gpt-image-2(?!\.)",
        sizes=_GPT_SIZES,
        multiple=16,
        qualities=("low", "medium", "high"),
        takes=(_GPT | {"complexity"}) - {"input_fidelity"},
        knows_output_format=True,
        knows_response_format=False,
    ),
    Family(
        models=r"gpt-image-",
        sizes=_GPT_SIZES,
        multiple=16,
        qualities=("low", "medium", "high", "xhigh", "max"),
        takes=(_GPT | {"complexity"}) - {"input_fidelity"},
        knows_output_format=True,
        knows_response_format=False,
    ),
    Family(
        models=r"dall-e-3",
        sizes=("1024x1024", "1792x1024", "1024x1792"),
        qualities=("standard", "hd"),
        images_max=0,
        takes=frozenset(["style"]),
        is_single=True,
    ),
    Family(
        models=r"dall-e-2",
        sizes=("256x256", "512x512", "1024x1024"),
        qualities=("standard",),
        images_max=1,
        image_types=("image/png",),
    ),
    Family(  # our own, offline: `ccapi.devserver.local_pictures`
        models=r"abstract-",
        qualities=("standard",),
        images_max=0,
        knows_output_format=True,
        knows_seed=True,
    ),
    Family(
        models=r"",
        takes=frozenset(["style", "background", "moderation", "output_compression"]),
        knows_seed=True,
    ),
)
_PATTERNS = [(re.compile(rf"(?:.*/)?(?:{family.models})"), family) for family in FAMILIES]

# GPT Image 2 and later: https://developers.openai.com/api/docs/guides/image-generation
PIXELS_MAX = 3840 * 2160
EDGE_MAX = 3840
RATIO_MAX = 3
PIXELS_USUAL = 1536 * 1024  # where only a ratio was asked for


def family_of(model: str) -> Family:
    return next(family for pattern, family in _PATTERNS if pattern.match(model))
