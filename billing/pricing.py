"""What a request costs: pure integer arithmetic over usage and a price version. No I/O, no rows.

A price is `pico` pico-dollars per `per` units. A request's cost is the exact sum over its
buckets, rounded once, up, to a whole nano-dollar. A bucket without a rate of its own takes the
one that `FALLBACKS` names (a vendor that publishes no price for cached tokens charges them as
input); a bucket without either is listed as unpriced and costs nothing, so that the walk and the
audit can tell.
"""

from collections.abc import Mapping
from math import lcm
from typing import Any

from billing.types import Bound, Charge
from catalog.types import PriceVersion, Rate
from ccapi.core.errors import ModelNotPriced
from ccapi.core.usage import Usage

PICO_PER_NANO = 1_000

INPUT_SIDE = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image")
OUTPUT_SIDE = ("output", "reasoning", "output_audio", "output_image")
# Fees, told as part of the input cost: bucket of Usage → name of its rate.
FEES = {"requests": "request", "web_searches": "web_search"}
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
}


def charge(usage: Usage, price: PriceVersion, hold_amount: int) -> Charge:
    """Price what was used; the customer never pays more than the hold, in nano-dollars."""
    rates = rates_at(price, usage.input_total)
    input_lines, unpriced = _lines(usage, INPUT_SIDE, rates)
    fee_lines, unpriced_fees = _lines(usage, tuple(FEES), rates)
    output_lines, unpriced_output = _lines(usage, OUTPUT_SIDE, rates)
    lines = input_lines + fee_lines + output_lines
    if not lines:
        return Charge(
            cost=0, input_cost=0, output_cost=0, unpriced=unpriced + unpriced_fees + unpriced_output
        )
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
        unpriced=unpriced + unpriced_fees + unpriced_output,
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
            elif bucket != "requests":  # a price without a fee per request is the usual one
                unpriced += (bucket,)
    return priced, unpriced


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


def rates_at(price: PriceVersion, input_tokens: int) -> Mapping[str, Rate]:
    """The rates of a whole request with that much input: the highest tier that it is above.

    A tier says what differs; what it leaves out costs as without it.
    """
    above = tier_at(price, input_tokens)
    if not above:
        return price.rates
    tier = next(tier for tier in price.tiers if tier.above_input_tokens == above)
    return {**price.rates, **tier.rates}


def tier_at(price: PriceVersion, input_tokens: int) -> int:
    """`above_input_tokens` of the tier that holds, 0 for none."""
    if not price.tiers:
        return 0
    reached = [t.above_input_tokens for t in price.tiers if t.above_input_tokens < input_tokens]
    return max(reached, default=0)


def snapshot(usage: Usage, price: PriceVersion) -> dict[str, Any]:
    """The rates that `charge` used, for the receipt: `{tier, rates: {bucket: [pico, per]}}`."""
    input_total = usage.input_total
    rates = rates_at(price, input_total)
    used = {}
    for bucket in FALLBACKS:
        if getattr(usage, bucket):
            rate = rate_of(bucket, rates)
            if rate is not None:
                used[bucket] = (rate.pico, rate.per)
    return {"tier": tier_at(price, input_total), "rates": used}


def bound_amount(bound: Bound) -> int:
    """The most that one candidate can cost, in nano-dollars, whichever buckets its tokens fall in.

    Raises: ModelNotPriced where the price has no `input` rate, or no `output` rate for an output.
    """
    dearest = 0
    for rates in _reachable(bound):
        fixed, each, per = _bound_parts(bound, rates)
        dearest = max(dearest, -(-(fixed + each * bound.output_tokens) // (per * PICO_PER_NANO)))
    return dearest


def affordable_output(bound: Bound, budget: int) -> int:
    """The most output tokens for which `bound_amount` stays within `budget` nano-dollars.

    At most the bound's own; 0 where not even the input fits.
    """
    tokens = bound.output_tokens
    for rates in _reachable(bound):
        fixed, each, per = _bound_parts(bound, rates)
        left = budget * per * PICO_PER_NANO - fixed
        if left < 0:
            return 0
        if each:
            tokens = min(tokens, left // each)
    return tokens


def _reachable(bound: Bound) -> list[Mapping[str, Rate]]:
    """The rates of every tier that a request within the bound may come to."""
    price = bound.price
    # Models of vectors write nothing, and have no price for it.
    if "input" not in price.rates or ("output" not in price.rates and bound.output_tokens):
        raise ModelNotPriced(
            f"Model {price.model!r} has no approved price for input and output; it is not sold."
        )
    return [price.rates] + [
        {**price.rates, **tier.rates}
        for tier in price.tiers
        if tier.above_input_tokens < bound.input_tokens
    ]


def _bound_parts(bound: Bound, rates: Mapping[str, Rate]) -> tuple[int, int, int]:
    """All but the output, and one output token, in pico-dollars times `per`."""
    output = _dearest(OUTPUT_SIDE, rates) if bound.output_tokens else Rate(0, 1)
    lines = [(bound.input_tokens, _dearest(INPUT_SIDE, rates))]
    for quantity, name in ((1, "request"), (bound.web_searches, "web_search")):
        rate = rates.get(name)
        if rate is not None:
            lines.append((quantity, rate))
    per = lcm(output.per, *(rate.per for _, rate in lines))
    fixed = sum(quantity * rate.pico * (per // rate.per) for quantity, rate in lines)
    return fixed, output.pico * (per // output.per), per


def _dearest(buckets: tuple[str, ...], rates: Mapping[str, Rate]) -> Rate:
    dearest = rates[buckets[0]]
    for bucket in buckets[1:]:
        rate = rates.get(bucket)
        if rate is not None and rate.pico * dearest.per > dearest.pico * rate.per:
            dearest = rate
    return dearest
