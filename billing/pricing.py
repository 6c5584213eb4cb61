"""What a request costs: pure integer arithmetic over usage and a price version. No I/O, no rows.

A price is `pico` pico-dollars per `per` units. A request's cost is the exact sum over its
buckets, rounded once, up, to a whole nano-dollar. A bucket without a rate of its own takes the
one that `FALLBACKS` names (a vendor that publishes no price for cached tokens charges them as
input); a bucket without either is listed as unpriced and costs nothing, so that the walk and the
audit can tell. What a request can cost at most is `billing.bounds`.
"""

from collections.abc import Mapping
from math import lcm
from typing import Any

from billing.types import Charge
from catalog.types import PriceVersion, Rate
from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE, Usage

PICO_PER_NANO = 1_000

# What is counted in something else than tokens: bucket of Usage → name of its rate. The first are
# told as part of the input cost, the second as part of the output cost.
FEES = {"requests": "request", "web_searches": "web_search", "characters": "input_characters"}
MADE = {"images": "image"}
INPUTS = (*INPUT_SIDE, *FEES)
OUTPUTS = (*OUTPUT_SIDE, *MADE)
# Where a rate is looked for, in order.
FALLBACKS: dict[str, tuple[str, ...]] = {
    "input": ("input",),
    "cache_read": ("cache_read", "input"),
    "cache_write": ("cache_write", "input"),
    "cache_write_1h": ("cache_write_1h", "cache_write", "input"),
    "input_audio": ("input_audio", "input"),
    "input_image": ("input_image", "input"),
    "output": ("output",),
    "reasoning": ("reasoning", "output"),
    "output_audio": ("output_audio", "output"),
    "output_image": ("output_image", "output"),
    "requests": ("request",),
    "web_searches": ("web_search",),
    "characters": ("input_characters",),
    "images": ("image",),
}
# A price goes by pictures or by their tokens, by characters or by tokens: a count of the one kind
# is for the receipt only where one of these has been charged for.
COVERED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*INPUT_SIDE, *OUTPUT_SIDE), ("images", "characters")),
    "images": OUTPUT_SIDE,
    "characters": (*INPUT_SIDE, *OUTPUT_SIDE),
}
UNKNOWN = ("", "")  # no word of size and quality
ANY = ("", "auto")  # how a size or a quality is written that leaves it open


def charge(
    usage: Usage, price: PriceVersion, hold_amount: int, variant: tuple[str, str] = UNKNOWN
) -> Charge:
    """Price what was used; the customer never pays more than the hold, in nano-dollars.

    `variant` is the size and the quality of the pictures that were made.
    """
    rates = rates_at(price, usage.input_total, variant)
    input_lines, unpriced = _lines(usage, INPUTS, rates)
    output_lines, unpriced_output = _lines(usage, OUTPUTS, rates)
    lines = input_lines + output_lines
    if not lines:
        return Charge(cost=0, input_cost=0, output_cost=0, unpriced=unpriced + unpriced_output)
    per = lcm(*(rate.per for _, rate in lines))
    total = sum(quantity * rate.pico * (per // rate.per) for quantity, rate in lines)
    output = sum(quantity * rate.pico * (per // rate.per) for quantity, rate in output_lines)
    due = -(-total // (per * PICO_PER_NANO))
    cost = min(due, hold_amount)
    output_cost = share(cost, output, total)
    return Charge(
        cost=cost,
        input_cost=cost - output_cost,
        output_cost=output_cost,
        overage=due - cost,
        unpriced=unpriced + unpriced_output,
    )


def _lines(
    usage: Usage, buckets: tuple[str, ...], rates: Mapping[str, Rate]
) -> tuple[list[tuple[int, Rate]], tuple[str, ...]]:
    """What was used with its rate, and the buckets that have none."""
    priced: list[tuple[int, Rate]] = []
    unpriced: tuple[str, ...] = ()
    for bucket in buckets:
        quantity = getattr(usage, bucket)
        if quantity:
            rate = rate_of(bucket, rates)
            if rate is not None:
                priced.append((quantity, rate))
            elif bucket != "requests" and not _is_covered(bucket, usage, rates):
                unpriced += (bucket,)  # but a price without a fee per request is the usual one
    return priced, unpriced


def _is_covered(bucket: str, usage: Usage, rates: Mapping[str, Rate]) -> bool:
    """Whether what was counted here is charged by a count of another kind."""
    return any(
        getattr(usage, other) and rate_of(other, rates) is not None
        for other in COVERED_BY.get(bucket, ())
    )


def share(cost: int, part: int, total: int) -> int:
    """`cost * part / total` by largest remainder: of two parts, this rounds to the nearest."""
    if not total:
        return 0
    whole, remainder = divmod(cost * part, total)
    return whole + (2 * remainder > total)


def rate_of(bucket: str, rates: Mapping[str, Rate]) -> Rate | None:
    """The bucket's own rate, or its fallback's."""
    for name in FALLBACKS[bucket]:
        rate = rates.get(name)
        if rate is not None:
            return rate
    return None


def rates_at(
    price: PriceVersion, input_tokens: int, variant: tuple[str, str] = UNKNOWN
) -> Mapping[str, Rate]:
    """The rates of a whole request with that much input: the highest tier that it is above.

    A tier and a variant say what differs; what they leave out costs as without them.
    """
    rates: Mapping[str, Rate] = price.rates
    above = tier_at(price, input_tokens)
    if above:
        tier = next(tier for tier in price.tiers if tier.above_input_tokens == above)
        rates = {**rates, **tier.rates}
    return {**rates, **rates_of_variant(price, variant)} if price.variants else rates


def tier_at(price: PriceVersion, input_tokens: int) -> int:
    """`above_input_tokens` of the tier that holds, 0 for none."""
    if not price.tiers:
        return 0
    reached = [t.above_input_tokens for t in price.tiers if t.above_input_tokens < input_tokens]
    return max(reached, default=0)


def rates_of_variant(price: PriceVersion, variant: tuple[str, str]) -> dict[str, Rate]:
    """What a size and a quality cost otherwise: of both before of the size alone.

    A size that nobody knows is the variant `auto`.
    """
    size, quality = variant
    named = {"size": size or "auto"}
    found: dict[str, Rate] = {}
    for wanted in (named, {**named, "quality": quality}):
        for each in price.variants:
            if each.fields == wanted:
                found.update(each.rates)
    return found


def snapshot(
    usage: Usage, price: PriceVersion, variant: tuple[str, str] = UNKNOWN
) -> dict[str, Any]:
    """The rates that `charge` used, for the receipt: `{tier, rates: {bucket: [pico, per]}}`.

    With `variant`, size and quality, where they were known.
    """
    input_total = usage.input_total
    rates = rates_at(price, input_total, variant)
    used = {}
    for bucket in FALLBACKS:
        if getattr(usage, bucket):
            rate = rate_of(bucket, rates)
            if rate is not None:
                used[bucket] = (rate.pico, rate.per)
    kept: dict[str, Any] = {"tier": tier_at(price, input_total), "rates": used}
    return {**kept, "variant": variant} if any(variant) else kept
