"""How many tokens a picture can be made of, where its price goes by tokens: the vendors' maxima.

For holds, and for the rare answer that says nothing of its tokens: what is charged is what the
vendor counted.
"""

import msgspec

from billing.pricing import rate_of, rates_at
from catalog.types import PriceVersion
from ccapi.core.usage import Usage

# Output tokens of gpt-image-1 and its kin, by quality and size.
# Source: OpenAI's guide "Image generation", "Cost and latency" (read 2026-11-22).
TABLE: dict[str, dict[str, int]] = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1_056, "1024x1536": 1_584, "1536x1024": 1_568},
    "high": {"1024x1024": 4_160, "1024x1536": 6_240, "1536x1024": 6_208},
}
# From gpt-image-2 on sizes are free, up to so many pixels; the calculator of the same guide counts
# the tokens by this formula (spelled out in OpenAI's forum, topic 1382699; read 2026-11-22).
FACTORS = {"low": 16, "medium": 48, "high": 96}
SIDE_MAX = 2_880  # of a square: 8,294,400 pixels; no other shape of that area has more tokens
OFFSET, SCALE = 2_000_000, 4_000_000
# Source: Google's price list of the Gemini API: 1,290 tokens a picture of 2.5 Flash Image, 2,520
# for one of 4K of those that came after it; from memory.
GEMINI: dict[str, int] = {"gemini-2.5-flash-image": 1_290}
GEMINI_MAX = 2_520
WORDS = 512  # that Gemini may write beside a picture


def tokens_max(model: str, variant: tuple[str, str]) -> int:
    """The most output tokens of one picture of a model (a catalog id), by size and quality.

    What is not known of size or quality counts as the dearest, and so does an unknown model.
    """
    name = model.rpartition("/")[2]
    if name.startswith("gemini"):
        return WORDS + next(
            (most for known, most in GEMINI.items() if name.startswith(known)), GEMINI_MAX
        )
    if name.startswith("gpt-image-1"):
        return _tabled(*variant)
    if name.startswith("gpt-image-"):
        return _counted(*variant)
    return max(_tabled(*variant), _counted(*variant))


def with_tokens(usage: Usage, price: PriceVersion, variant: tuple[str, str]) -> Usage:
    """The usage to charge for pictures; the same one where there is nothing to add.

    Where the price goes by tokens and nobody has told any, each picture counts with the most that
    it can have: none was made for nothing.
    """
    rates = rates_at(price, usage.input_total, variant)
    if not usage.images or usage.output_total or rate_of("images", rates) is not None:
        return usage
    tokens = usage.images * tokens_max(price.model, variant)
    return msgspec.structs.replace(usage, output_image=tokens)


def _tabled(size: str, quality: str) -> int:
    rows = [TABLE[quality]] if quality in TABLE else list(TABLE.values())
    return max(row.get(size) or max(row.values()) for row in rows)


def _counted(size: str, quality: str) -> int:
    factor = FACTORS.get(quality, max(FACTORS.values()))
    sides = [int(side) for side in size.split("x") if side.isdigit()]
    short, long = sorted(sides) if len(sides) == 2 and all(sides) else (SIDE_MAX, SIDE_MAX)
    across = (2 * factor * short + long) // (2 * long)  # rounded
    return -(-factor * across * (OFFSET + short * long) // SCALE)
