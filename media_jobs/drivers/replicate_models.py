"""Replicate's models: what each calls its inputs, one row a model, by its published schema.

A name that is "" is an input that the model has not. A model without a row is `ANY`: it gets the
prompt, the seed, and whatever else the customer says, under the names that its schema has;
Replicate checks them. What is made of a row is `replicate_inputs`.

Sources: https://replicate.com/<owner>/<name>/api/schema of each model named (read 2026-11-22)
"""

from collections.abc import Mapping

import msgspec

from media_jobs.drivers.conversion import Changes


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The names of a model's inputs, and what they take."""

    count: str = ""
    count_max: int = 1
    ratios: tuple[str, ...] = ()  # of `aspect_ratio`
    # Where width and height are only looked at beside another input: its name and value.
    size_switch: tuple[str, str] | None = None
    side_min: int = 0  # of `width` and `height`; 0: it has none
    side_max: int = 0
    multiple: int = 1
    sizes: tuple[str, ...] = ()  # of `resolution`, as WIDTHxHEIGHT
    image: str = ""
    images_max: int = 1  # above 1 the input is a list
    needs_image: bool = False
    mask: str = ""
    mask_changes: Changes = "white"
    steps: str = ""
    steps_max: int = 0
    guidance: str = ""
    guidance_max: float = 0.0
    strength: str = ""
    negative: str = ""
    seed: str = "seed"
    output_formats: tuple[str, ...] = ()  # as the model spells them; others are made by us
    compression: str = ""  # our output_compression
    always: Mapping[str, object] = {}
    takes: frozenset[str] = frozenset()  # further inputs, under their own names
    takes_anything: bool = False
    seconds: float | None = None  # about how long it takes


_FLUX_RATIOS = (
    "1:1",
    "16:9",
    "21:9",
    "3:2",
    "2:3",
    "4:5",
    "5:4",
    "3:4",
    "4:3",
    "9:16",
    "9:21",
)
_PRO_RATIOS = ("1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3")
_BANANA_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_SD_RATIOS = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "9:16", "9:21")
_ALL_FORMATS = ("webp", "jpg", "png")

_SCHNELL = Inputs(
    count="num_outputs",
    count_max=4,
    ratios=_FLUX_RATIOS,
    steps="num_inference_steps",
    steps_max=4,
    output_formats=_ALL_FORMATS,
    compression="output_quality",
    takes=frozenset(["go_fast", "megapixels"]),
    seconds=2.0,
)
_DEV = msgspec.structs.replace(
    _SCHNELL,
    image="image",
    strength="prompt_strength",
    steps_max=50,
    guidance="guidance",
    guidance_max=10.0,
    seconds=8.0,
)
_PRO = Inputs(
    ratios=_PRO_RATIOS,
    size_switch=("aspect_ratio", "custom"),
    side_min=256,
    side_max=1440,
    multiple=32,
    image="image_prompt",
    output_formats=_ALL_FORMATS,
    compression="output_quality",
    takes=frozenset(["safety_tolerance", "prompt_upsampling"]),
    seconds=6.0,
)
_KONTEXT = Inputs(
    ratios=_FLUX_RATIOS,
    image="input_image",
    output_formats=("jpg", "png"),
    takes=frozenset(["safety_tolerance", "prompt_upsampling"]),
    seconds=8.0,
)
_BANANA = Inputs(
    ratios=_BANANA_RATIOS,
    image="image_input",
    images_max=14,
    seed="",
    output_formats=("jpg", "png"),
    seconds=12.0,
)
_SD_35 = Inputs(
    ratios=_SD_RATIOS,
    image="image",
    strength="prompt_strength",
    guidance="cfg",
    guidance_max=10.0,
    negative="negative_prompt",
    output_formats=_ALL_FORMATS,
    seconds=8.0,
)
_SEEDREAM = Inputs(
    ratios=("1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9"),
    size_switch=("size", "custom"),
    side_min=1024,
    side_max=4096,
    image="image_input",
    images_max=10,
    seed="",
    always={"sequential_image_generation": "disabled"},
    takes=frozenset(["size", "enhance_prompt"]),
    seconds=15.0,
)
_IDEOGRAM = Inputs(
    ratios=(
        "1:1",
        "1:3",
        "3:1",
        "1:2",
        "2:1",
        "9:16",
        "16:9",
        "10:16",
        "16:10",
        "2:3",
        "3:2",
        "3:4",
        "4:3",
        "4:5",
        "5:4",
    ),
    sizes=(
        "1024x1024",
        "768x1344",
        "1344x768",
        "832x1216",
        "1216x832",
        "896x1152",
        "1152x896",
        "704x1408",
        "1408x704",
        "512x1536",
        "1536x512",
    ),
    image="image",
    mask="mask",
    mask_changes="black",
    takes=frozenset(
        ["magic_prompt_option", "style_type", "style_preset", "style_reference_images"]
    ),
    seconds=12.0,
)

MODELS: dict[str, Inputs] = {
    "black-forest-labs/flux-schnell": _SCHNELL,
    "black-forest-labs/flux-dev": _DEV,
    "black-forest-labs/flux-1.1-pro": _PRO,
    "black-forest-labs/flux-1.1-pro-ultra": msgspec.structs.replace(
        _PRO,
        ratios=_FLUX_RATIOS,
        size_switch=None,
        side_min=0,
        side_max=0,
        output_formats=("jpg", "png"),
        compression="",
        takes=frozenset(["safety_tolerance", "raw", "image_prompt_strength"]),
        seconds=10.0,
    ),
    "black-forest-labs/flux-kontext-pro": _KONTEXT,
    "black-forest-labs/flux-kontext-max": _KONTEXT,
    "black-forest-labs/flux-2-dev": Inputs(
        ratios=_PRO_RATIOS,
        size_switch=("aspect_ratio", "custom"),
        side_min=256,
        side_max=1440,
        multiple=32,
        image="input_images",
        images_max=4,
        output_formats=_ALL_FORMATS,
        compression="output_quality",
        takes=frozenset(["go_fast"]),
        seconds=8.0,
    ),
    "black-forest-labs/flux-fill-dev": Inputs(
        count="num_outputs",
        count_max=4,
        image="image",
        needs_image=True,
        mask="mask",
        steps="num_inference_steps",
        steps_max=50,
        guidance="guidance",
        guidance_max=100.0,
        output_formats=_ALL_FORMATS,
        compression="output_quality",
        takes=frozenset(["megapixels"]),
        seconds=10.0,
    ),
    "black-forest-labs/flux-fill-pro": Inputs(
        image="image",
        needs_image=True,
        mask="mask",
        steps="steps",
        steps_max=50,
        guidance="guidance",
        guidance_max=5.0,
        output_formats=("jpg", "png"),
        takes=frozenset(["prompt_upsampling", "safety_tolerance", "outpaint"]),
        seconds=10.0,
    ),
    "stability-ai/sdxl": Inputs(
        count="num_outputs",
        count_max=4,
        side_min=16,
        side_max=2048,
        multiple=8,
        image="image",
        mask="mask",
        steps="num_inference_steps",
        steps_max=500,
        guidance="guidance_scale",
        guidance_max=50.0,
        strength="prompt_strength",
        negative="negative_prompt",
        takes=frozenset(
            ["scheduler", "refine", "refine_steps", "high_noise_frac", "apply_watermark"]
        ),
        seconds=8.0,
    ),
    "stability-ai/stable-diffusion-3": Inputs(
        count="num_outputs",
        count_max=4,
        ratios=_SD_RATIOS,
        image="image",
        strength="prompt_strength",
        guidance="guidance_scale",
        guidance_max=50.0,
        negative="negative_prompt",
        output_formats=_ALL_FORMATS,
        compression="output_quality",
        seconds=6.0,
    ),
    "stability-ai/stable-diffusion-3.5-large": _SD_35,
    "stability-ai/stable-diffusion-3.5-medium": _SD_35,
    "google/nano-banana": _BANANA,
    "google/nano-banana-pro": msgspec.structs.replace(
        _BANANA, takes=frozenset(["resolution", "safety_filter_level"]), seconds=30.0
    ),
    "google/nano-banana-2": msgspec.structs.replace(
        _BANANA, takes=frozenset(["resolution"]), seconds=20.0
    ),
    "bytedance/seedream-4": _SEEDREAM,
    "ideogram-ai/ideogram-v3-turbo": _IDEOGRAM,
    "ideogram-ai/ideogram-v3-balanced": _IDEOGRAM,
    "ideogram-ai/ideogram-v3-quality": _IDEOGRAM,
}
ANY = Inputs(takes_anything=True)
# Ours, offline: `gateway.sandbox.replicate`. Whatever comes after the owner.
SANDBOX_OWNER = "ccapi-sandbox"
SANDBOX = Inputs(
    count="num_outputs",
    count_max=10,
    side_min=16,
    side_max=4096,
    image="image",
    mask="mask",
    seconds=2.0,
)


def of(model: str) -> Inputs:
    """By `owner/name` or `owner/name:version`."""
    if model.startswith(f"{SANDBOX_OWNER}/"):
        return SANDBOX
    return MODELS.get(model.partition(":")[0], ANY)
