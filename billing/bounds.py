"""The most that a request can cost, which is what its hold is for. Pure arithmetic, no I/O.

Whatever is used within a `Bound` costs at most its amount: whichever buckets its tokens fall in,
whichever tier they reach, and whichever size and quality its pictures have that the request leaves
open.
"""

from collections.abc import Iterator, Mapping
from math import lcm

from billing.image_tokens import tokens_max
from billing.pricing import ANY, PICO_PER_NANO, rates_of_variant
from billing.types import Bound
from catalog.types import PriceVersion, Rate
from ccapi.core.errors import ModelNotPriced
from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE

FREE = Rate(0, 1)
OTHER = "other"


def bound_amount(bound: Bound) -> int:
    """The most that one candidate can cost, in nano-dollars.

    Raises: ModelNotPriced where the price has no rate for what it would be charged by.
    """
    dearest = 0
    for rates in _reachable(bound):
        fixed, each, per = _parts(bound, rates)
        dearest = max(dearest, -(-(fixed + each * bound.output_tokens) // (per * PICO_PER_NANO)))
    return dearest


def affordable_output(bound: Bound, budget: int) -> int:
    """The most output tokens for which `bound_amount` stays within `budget` nano-dollars.

    At most the bound's own; 0 where not even the input fits.
    """
    tokens = bound.output_tokens
    for rates in _reachable(bound):
        fixed, each, per = _parts(bound, rates)
        left = budget * per * PICO_PER_NANO - fixed
        if left < 0:
            return 0
        if each:
            tokens = min(tokens, left // each)
    return tokens


def _reachable(bound: Bound) -> list[Mapping[str, Rate]]:
    """The rates of every tier and variant that a request within the bound may come to."""
    price = bound.price
    if not _is_priced(bound):
        raise ModelNotPriced(
            f"Model {price.model!r} has no approved price for input and output; it is not sold."
        )
    reached: list[Mapping[str, Rate]] = [price.rates] + [
        {**price.rates, **tier.rates}
        for tier in price.tiers
        if tier.above_input_tokens < bound.input_tokens
    ]
    if not price.variants:
        return reached
    differing = [rates_of_variant(price, variant) for variant in _variants(price, bound.variant)]
    return [{**rates, **others} for rates in reached for others in differing]


def _is_priced(bound: Bound) -> bool:
    """Whether there is a rate for all that it would be charged by; never for nothing."""
    rates = bound.price.rates
    reads = "input" in rates
    if bound.images:
        return "image" in rates or (reads and ("output" in rates or "output_image" in rates))
    if bound.characters:
        by_token = reads and ("output" in rates or "output_audio" in rates)
        return "input_characters" in rates or by_token
    # Models of vectors write nothing, and have no price for it.
    return reads and ("output" in rates or not bound.output_tokens)


def _variants(price: PriceVersion, asked: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The sizes and qualities that an answer may have, as far as the price tells them apart."""
    size, quality = asked
    sizes, qualities = {size}, {quality}
    if size in ANY:
        # A size that no variant names, not even `auto`, is at the plain price.
        sizes |= {"", OTHER, *(each.fields.get("size", "") for each in price.variants)}
    if quality in ANY:
        qualities |= {"", *(each.fields.get("quality", "") for each in price.variants)}
    return ((each, other) for each in sizes for other in qualities)


def _parts(bound: Bound, rates: Mapping[str, Rate]) -> tuple[int, int, int]:
    """All but the output tokens, and one output token, in pico-dollars times `per`."""
    writes = _dearest(OUTPUT_SIDE, rates)
    output = writes if bound.output_tokens else FREE
    lines = [(bound.input_tokens, _dearest(INPUT_SIDE, rates))]
    if bound.images:
        lines.append((bound.images * tokens_max(bound.price.model, bound.variant), writes))
    for quantity, name in (
        (1, "request"),
        (bound.web_searches, "web_search"),
        (bound.characters, "input_characters"),
        (bound.images, "image"),
    ):
        rate = rates.get(name)
        if rate is not None:
            lines.append((quantity, rate))
    per = lcm(output.per, *(rate.per for _, rate in lines))
    fixed = sum(quantity * rate.pico * (per // rate.per) for quantity, rate in lines)
    return fixed, output.pico * (per // output.per), per


def _dearest(buckets: tuple[str, ...], rates: Mapping[str, Rate]) -> Rate:
    """The dearest rate that a token of these buckets can have; free where there is none."""
    dearest = FREE
    for bucket in buckets:
        rate = rates.get(bucket)
        if rate is not None and rate.pico * dearest.per > dearest.pico * rate.per:
            dearest = rate
    return dearest
