"""The most that a request can cost: never less than what it costs, and refused without a price."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bounds import affordable_output, bound_amount
from billing.image_tokens import tokens_max
from billing.pricing import charge
from billing.types import Bound
from catalog.types import PriceVersion
from ccapi.core.errors import ModelNotPriced
from ccapi.core.usage import Usage
from tests.billing.price_kit import (
    PRICES,
    UNLIMITED,
    USAGES,
    VARIANTS,
    dollars,
    version,
)

DALL_E = version(
    dollars(image="0.04"),
    variants={
        ("1024x1024", "hd"): dollars(image="0.08"),
        ("1024x1792", ""): dollars(image="0.08"),
        ("1024x1792", "hd"): dollars(image="0.12"),
    },
)
GPT_IMAGE = version(dollars(input="5", output="40", input_image="10"), model="openai/gpt-image-1")


@given(usage=USAGES, price=PRICES, asked=VARIANTS, made=VARIANTS)
def test_a_hold_covers_whatever_a_request_within_its_bound_can_cost(
    usage: Usage, price: PriceVersion, asked: tuple[str, str], made: tuple[str, str]
) -> None:
    """`made` has what `asked` left open; a picture has at most the tokens its vendor publishes."""
    variant = (
        made[0] if asked[0] in ("", "auto") else asked[0],
        made[1] if asked[1] == "" else asked[1],
    )
    once = msgspec.structs.replace(usage, requests=1)
    of_pictures = usage.images * tokens_max(price.model, variant)
    bound = Bound(
        price=price,
        input_tokens=usage.input_total,
        output_tokens=max(0, usage.output_total - of_pictures),
        web_searches=usage.web_searches,
        images=usage.images,
        characters=usage.characters,
        variant=asked,
    )

    assert bound_amount(bound) >= charge(once, price, UNLIMITED, variant).cost


@pytest.mark.parametrize(
    ("variant", "dollars_each"),
    [
        (("1024x1024", "standard"), "0.04"),
        (("1024x1024", "hd"), "0.08"),
        (("1024x1024", ""), "0.08"),
        (("1024x1792", "standard"), "0.08"),
        (("1024x1792", "hd"), "0.12"),
        (("512x512", "hd"), "0.04"),
        (("", "standard"), "0.08"),
        (("auto", "hd"), "0.12"),
        (("", ""), "0.12"),
    ],
)
def test_pictures_are_held_at_the_dearest_variant_that_they_may_have(
    variant: tuple[str, str], dollars_each: str
) -> None:
    bound = Bound(price=DALL_E, input_tokens=40, output_tokens=0, images=3, variant=variant)

    assert bound_amount(bound) == 3 * int(float(dollars_each) * 100) * 10**7


@pytest.mark.parametrize(
    ("variant", "tokens"),
    [
        (("1024x1024", "low"), 272),
        (("1024x1536", "high"), 6_240),
        (("1024x1024", "auto"), 4_160),
        (("auto", "low"), 408),
        (("", ""), 6_240),
    ],
)
def test_pictures_by_the_token_are_held_at_what_the_vendor_publishes(
    variant: tuple[str, str], tokens: int
) -> None:
    bound = Bound(price=GPT_IMAGE, input_tokens=100, output_tokens=0, images=2, variant=variant)

    assert bound_amount(bound) == 2 * tokens * 40_000 + 100 * 10_000


def test_speech_is_held_at_its_characters_exactly() -> None:
    bound = Bound(
        price=version(dollars(input_characters="15")),
        input_tokens=0,
        output_tokens=0,
        characters=4_096,
    )

    assert bound_amount(bound) == 4_096 * 15_000


def test_a_fee_for_each_request_is_held_once() -> None:
    price = version(dollars(image="0.01", request="0.5"))

    assert (
        bound_amount(Bound(price=price, input_tokens=9, output_tokens=0, images=2)) == 520_000_000
    )


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


@pytest.mark.parametrize(
    ("units", "asked"),
    [
        (("input_characters",), {"images": 1}),
        (("input",), {"images": 1}),
        (("output_image",), {"images": 1}),
        (("image",), {"characters": 1}),
        (("input",), {"characters": 1}),
        (("audio_seconds",), {"characters": 1}),
        (("image", "input_characters", "request"), {"output_tokens": 1}),
    ],
)
def test_what_has_no_price_of_its_kind_is_not_sold(
    units: tuple[str, ...], asked: dict[str, int]
) -> None:
    price = version(dollars(**dict.fromkeys(units, "1")))
    bound = Bound(price=price, input_tokens=1, output_tokens=0)

    with pytest.raises(ModelNotPriced):
        bound_amount(msgspec.structs.replace(bound, **asked))
