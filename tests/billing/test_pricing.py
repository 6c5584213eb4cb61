"""Prices against an oracle of exact fractions."""

from fractions import Fraction
from math import ceil
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import pricing
from billing.pricing import affordable_output, bound_amount, charge, snapshot
from billing.types import Bound
from catalog.types import PriceVersion, Rate, Tier
from ccapi.core.errors import ModelNotPriced
from ccapi.core.usage import Usage

UNLIMITED = 10**18
TOKENS = pricing.INPUT_SIDE + pricing.OUTPUT_SIDE


def version(
    rates: dict[str, Rate], tiers: tuple[tuple[int, dict[str, Rate]], ...] = ()
) -> PriceVersion:
    return PriceVersion(
        id=1,
        model="acme/one",
        rates=MappingProxyType(rates),
        tiers=tuple(Tier(above, MappingProxyType(changed)) for above, changed in tiers),
    )


def dollars(**amounts: str) -> dict[str, Rate]:
    return {name: Rate(int(Fraction(amount) * 10**12)) for name, amount in amounts.items()}


RATES = st.builds(
    Rate, pico=st.integers(0, 10**14), per=st.sampled_from([1, 60, 1000, 3600, 1_000_000])
)
NAMES = st.sampled_from([*TOKENS, "request", "web_search"])
PRICES = st.builds(
    lambda rates, must, tiers: version({**rates, **must}, tuple(tiers)),
    st.dictionaries(NAMES, RATES),
    st.fixed_dictionaries({"input": RATES, "output": RATES}),
    st.lists(
        st.tuples(st.integers(1, 5_000), st.dictionaries(NAMES, RATES)),
        max_size=2,
        unique_by=lambda tier: tier[0],
    ),
)
USAGES = st.builds(
    Usage,
    **{name: st.integers(0, 3_000) for name in TOKENS},
    requests=st.integers(0, 3),
    web_searches=st.integers(0, 5),
)


def oracle(usage: Usage, price: PriceVersion) -> tuple[Fraction, Fraction]:
    """Exact input and output cost in nano-dollars, written as the catalog's words say it."""
    rates = dict(price.rates)
    for tier in sorted(price.tiers, key=lambda tier: tier.above_input_tokens):
        if usage.input_total > tier.above_input_tokens:
            rates = {**price.rates, **tier.rates}

    def cost(bucket: str) -> Fraction:
        for name in pricing.FALLBACKS[bucket]:
            if name in rates:
                rate = rates[name]
                return Fraction(getattr(usage, bucket) * rate.pico, rate.per * 1000)
        return Fraction(0)

    inputs = sum((cost(name) for name in (*pricing.INPUT_SIDE, *pricing.FEES)), Fraction(0))
    return inputs, sum((cost(name) for name in pricing.OUTPUT_SIDE), Fraction(0))


@given(usage=USAGES, price=PRICES)
def test_a_charge_is_the_exact_sum_rounded_up_once(usage: Usage, price: PriceVersion) -> None:
    inputs, outputs = oracle(usage, price)

    due = charge(usage, price, UNLIMITED)

    assert due.cost == ceil(inputs + outputs)
    assert due.overage == 0


@given(usage=USAGES, price=PRICES, hold=st.integers(0, 10**9))
def test_the_two_parts_make_the_cost_and_lie_within_a_nano_of_their_share(
    usage: Usage, price: PriceVersion, hold: int
) -> None:
    inputs, outputs = oracle(usage, price)

    due = charge(usage, price, hold)

    assert due.input_cost + due.output_cost == due.cost <= hold
    assert due.input_cost >= 0
    assert due.output_cost >= 0
    if inputs + outputs:
        assert abs(due.input_cost - due.cost * inputs / (inputs + outputs)) <= Fraction(1, 2)


@given(usage=USAGES, price=PRICES, hold=st.integers(0, 10**9))
def test_nobody_pays_above_the_hold_and_the_rest_is_told(
    usage: Usage, price: PriceVersion, hold: int
) -> None:
    whole = charge(usage, price, UNLIMITED).cost

    due = charge(usage, price, hold)

    assert due.cost == min(whole, hold)
    assert due.cost + due.overage == whole


@given(
    usage=USAGES,
    price=PRICES.filter(lambda price: not price.tiers),
    bucket=st.sampled_from(TOKENS),
    more=st.integers(1, 1000),
)
def test_using_more_never_costs_less(
    usage: Usage, price: PriceVersion, bucket: str, more: int
) -> None:
    greater = msgspec.structs.replace(usage, **{bucket: getattr(usage, bucket) + more})

    assert charge(greater, price, UNLIMITED).cost >= charge(usage, price, UNLIMITED).cost


@given(usage=USAGES, price=PRICES)
def test_a_charge_can_be_recomputed_from_its_snapshot_alone(
    usage: Usage, price: PriceVersion
) -> None:
    names = {**{bucket: bucket for bucket in pricing.FALLBACKS}, **pricing.FEES}
    kept = snapshot(usage, price)["rates"]

    again = version({names[bucket]: Rate(*rate) for bucket, rate in kept.items()})

    assert charge(usage, again, UNLIMITED).cost == charge(usage, price, UNLIMITED).cost


@given(usage=USAGES, price=PRICES)
def test_a_hold_covers_whatever_a_request_within_its_bound_can_cost(
    usage: Usage, price: PriceVersion
) -> None:
    once = msgspec.structs.replace(usage, requests=1)
    bound = Bound(
        price=price,
        input_tokens=usage.input_total,
        output_tokens=usage.output_total,
        web_searches=usage.web_searches,
    )

    assert bound_amount(bound) >= charge(once, price, UNLIMITED).cost


@given(price=PRICES, tokens=st.integers(0, 3000), budget=st.integers(0, 10**9))
def test_the_affordable_output_is_the_most_that_the_budget_covers(
    price: PriceVersion, tokens: int, budget: int
) -> None:
    bound = Bound(price=price, input_tokens=tokens, output_tokens=5000)

    most = affordable_output(bound, budget)

    def amount(output: int) -> int:
        return bound_amount(msgspec.structs.replace(bound, output_tokens=output))

    assert most == 0 or amount(most) <= budget
    assert most == 5000 or amount(most + 1) > budget


def test_the_published_example_costs_what_the_contract_says() -> None:
    price = version(dollars(input="0.15", output="0.60"))

    due = charge(Usage(input=120, output=256), price, UNLIMITED)

    assert (due.input_cost, due.output_cost, due.cost) == (18_000, 153_600, 171_600)


def test_one_token_of_a_price_below_a_nano_costs_one_nano() -> None:
    price = version(dollars(input="0.0001", output="0.0001"))

    assert charge(Usage(input=1), price, UNLIMITED).cost == 1


@pytest.mark.parametrize(
    ("bucket", "rate"),
    [
        ("cache_read", "1"),
        ("cache_write", "1"),
        ("cache_write_1h", "1"),
        ("input_audio", "1"),
        ("input_image", "1"),
        ("reasoning", "2"),
        ("output_audio", "2"),
        ("output_image", "2"),
    ],
)
def test_a_bucket_without_a_price_takes_that_of_its_side(bucket: str, rate: str) -> None:
    price = version(dollars(input="1", output="2"))

    usage = msgspec.structs.replace(Usage(), **{bucket: 1_000_000})

    due = charge(usage, price, UNLIMITED)

    assert due.cost == int(rate) * 10**9
    assert due.unpriced == ()


def test_a_cache_write_of_an_hour_takes_the_price_of_a_short_one_first() -> None:
    price = version(dollars(input="1", output="2", cache_write="1.25"))

    assert charge(Usage(cache_write_1h=1_000_000), price, UNLIMITED).cost == 1_250_000_000


def test_web_searches_without_a_price_are_told_as_unpriced() -> None:
    price = version(dollars(input="1", output="2"))

    due = charge(Usage(input=1, web_searches=2), price, UNLIMITED)

    assert due.unpriced == ("web_searches",)
    assert due.cost == 1000


@pytest.mark.parametrize(
    ("tokens", "per_million"), [(199_999, 1), (200_000, 1), (200_001, 3), (900_000, 5)]
)
def test_the_whole_request_moves_to_the_tier_that_its_input_is_above(
    tokens: int, per_million: int
) -> None:
    price = version(
        dollars(input="1", output="2"),
        ((200_000, dollars(input="3")), (500_000, dollars(input="5"))),
    )

    due = charge(Usage(input=tokens - 1000, cache_read=1000), price, UNLIMITED)

    assert due.cost == tokens * 1000 * per_million


def test_the_hold_is_at_the_dearest_tier_that_can_be_reached() -> None:
    price = version(dollars(input="1", output="2"), ((100, dollars(output="9")),))

    below = bound_amount(Bound(price=price, input_tokens=100, output_tokens=10))
    above = bound_amount(Bound(price=price, input_tokens=101, output_tokens=10))

    assert below == 100 * 1000 + 10 * 2000
    assert above == 101 * 1000 + 10 * 9000


@pytest.mark.parametrize("only", ["input", "output"])
def test_a_price_without_both_sides_is_not_sold(only: str) -> None:
    price = version(dollars(**{only: "1"}))

    with pytest.raises(ModelNotPriced, match="acme/one"):
        bound_amount(Bound(price=price, input_tokens=1, output_tokens=1))
