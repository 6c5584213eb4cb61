"""Prices against an oracle of exact fractions."""

from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import pricing
from billing.pricing import charge, snapshot
from catalog.types import PriceVersion, Rate
from ccapi.core.usage import Usage
from tests.billing.price_kit import (
    PRICES,
    TOKENS,
    UNLIMITED,
    USAGES,
    VARIANTS,
    dollars,
    oracle,
    version,
)


@given(usage=USAGES, price=PRICES, variant=VARIANTS)
def test_a_charge_is_the_exact_sum_rounded_up_once(
    usage: Usage, price: PriceVersion, variant: tuple[str, str]
) -> None:
    inputs, outputs = oracle(usage, price, variant)

    due = charge(usage, price, UNLIMITED, variant)

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
    bucket=st.sampled_from([*TOKENS, "images", "characters"]),
    more=st.integers(1, 1000),
)
def test_using_more_never_costs_less(
    usage: Usage, price: PriceVersion, bucket: str, more: int
) -> None:
    greater = msgspec.structs.replace(usage, **{bucket: getattr(usage, bucket) + more})

    assert charge(greater, price, UNLIMITED).cost >= charge(usage, price, UNLIMITED).cost


@given(usage=USAGES, price=PRICES, variant=VARIANTS)
def test_a_charge_can_be_recomputed_from_its_snapshot_alone(
    usage: Usage, price: PriceVersion, variant: tuple[str, str]
) -> None:
    names = {**{bucket: bucket for bucket in pricing.FALLBACKS}, **pricing.FEES, **pricing.MADE}
    kept = snapshot(usage, price, variant)["rates"]

    again = version({names[bucket]: Rate(*rate) for bucket, rate in kept.items()})

    priced = charge(usage, price, UNLIMITED, variant)
    assert charge(usage, again, UNLIMITED).cost == priced.cost


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


def test_a_variant_costs_what_it_says_and_else_what_its_size_and_then_the_plain_price_says() -> (
    None
):
    price = version(
        dollars(image="0.04", request="0.01"),
        variants={
            ("1024x1024", "hd"): dollars(image="0.08"),
            ("1024x1792", ""): dollars(image="0.06", request="0.02"),
            ("1024x1792", "hd"): dollars(image="0.12"),
            ("auto", ""): dollars(image="0.05"),
        },
    )
    cents = {
        variant: charge(Usage(images=2), price, UNLIMITED, variant).cost // 10**7
        for variant in (
            *(("1024x1024", "hd"), ("1024x1024", "low"), ("1024x1792", "hd"), ("1024x1792", "low")),
            *(("512x512", "hd"), ("", "hd"), ("auto", "")),
        )
    }

    assert cents == {
        ("1024x1024", "hd"): 2 * 8 + 1,
        ("1024x1024", "low"): 2 * 4 + 1,
        ("1024x1792", "hd"): 2 * 12 + 2,
        ("1024x1792", "low"): 2 * 6 + 2,
        ("512x512", "hd"): 2 * 4 + 1,
        ("", "hd"): 2 * 5 + 1,
        ("auto", ""): 2 * 5 + 1,
    }


def test_pictures_are_output_and_characters_are_input() -> None:
    pictures = charge(Usage(images=1), version(dollars(image="0.04")), UNLIMITED)
    speech = charge(Usage(characters=1_000), version(dollars(input_characters="15")), UNLIMITED)

    assert (pictures.input_cost, pictures.output_cost) == (0, 40_000_000)
    assert (speech.input_cost, speech.output_cost) == (15_000_000, 0)


@pytest.mark.parametrize(
    ("units", "usage", "unpriced"),
    [
        (("image",), Usage(images=1, input=40, output_image=1_290), ()),
        (("input", "output"), Usage(images=1, input=40, output_image=1_290), ()),
        (("input_characters",), Usage(characters=9, input=2, output_audio=80), ()),
        (("input", "output"), Usage(characters=9, input=2, output_audio=80), ()),
        (("input", "output"), Usage(input=1), ()),
        (("image",), Usage(characters=9), ("characters",)),
        (("image",), Usage(input=40, output_image=1_290), ("input", "output_image")),
        (("input", "output"), Usage(images=1, input=40), ("images",)),
        (("input", "output"), Usage(characters=9), ("characters",)),
        (("input_characters",), Usage(images=1), ("images",)),
        (("input",), Usage(images=1, output_image=5), ("output_image", "images")),
    ],
)
def test_a_count_is_unpriced_where_the_price_goes_by_nothing_of_its_kind(
    units: tuple[str, ...], usage: Usage, unpriced: tuple[str, ...]
) -> None:
    price = version(dollars(**dict.fromkeys(units, "1")))

    assert charge(usage, price, UNLIMITED).unpriced == unpriced
