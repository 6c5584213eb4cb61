"""How many tokens a picture has at most, by vendor, size and quality, and where nobody tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.bounds import bound_amount
from billing.image_tokens import tokens_max, with_tokens
from billing.pricing import charge
from billing.types import Bound
from catalog.types import PriceVersion
from ccapi.core.usage import Usage
from tests.billing.price_kit import QUALITIES, SIZES, UNLIMITED, dollars, version

BY_TOKEN = version(dollars(input="5", output="40"), model="openai/gpt-image-1")
BY_PICTURE = version(dollars(image="0.04"))


@given(
    model=st.sampled_from(
        ["openai/gpt-image-1-mini", "openai/gpt-image-2", "x/y", "google/gemini-3-pro-image"]
    ),
    size=st.sampled_from(SIZES),
    quality=st.sampled_from(QUALITIES),
)
def test_what_is_not_known_of_a_picture_counts_as_the_dearest(
    model: str, size: str, quality: str
) -> None:
    known = tokens_max(model, (size, quality))

    for less in ((size, ""), ("", quality), ("auto", "auto"), ("", "")):
        assert tokens_max(model, less) >= known


@pytest.mark.parametrize(
    ("size", "tokens"), [("1024x1024", 7_024), ("1536x1024", 5_488), ("3584x2048", 12_329)]
)
def test_a_picture_of_free_size_has_the_tokens_of_openais_calculator(
    size: str, tokens: int
) -> None:
    assert tokens_max("openai/gpt-image-2", (size, "high")) == tokens


@given(width=st.integers(1, 240), height=st.integers(1, 240))
def test_no_shape_has_more_tokens_than_the_largest_square(width: int, height: int) -> None:
    wide, high = 16 * width, 16 * height
    if wide * high > 8_294_400:
        return

    most = tokens_max("openai/gpt-image-2", ("", "high"))

    assert tokens_max("openai/gpt-image-2", (f"{wide}x{high}", "high")) <= most


@pytest.mark.parametrize("size", ["x", "0x0", "1024x", "axb", "1024x1024x3", "large"])
def test_a_size_that_is_none_counts_as_unknown(size: str) -> None:
    for model in ("openai/gpt-image-1", "openai/gpt-image-2", "x/y"):
        assert tokens_max(model, (size, "low")) == tokens_max(model, ("", "low"))


def test_pictures_whose_tokens_nobody_told_are_not_given_away() -> None:
    variant = ("1024x1024", "medium")

    counted = with_tokens(Usage(images=2), BY_TOKEN, variant)

    assert counted == Usage(images=2, output_image=2 * 1_056)
    due = charge(counted, BY_TOKEN, UNLIMITED, variant)
    assert due.unpriced == ()
    held = Bound(price=BY_TOKEN, input_tokens=0, output_tokens=0, images=2, variant=variant)
    assert due.cost == bound_amount(held)


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(images=2, output_image=300), BY_TOKEN),
        (Usage(images=0), BY_TOKEN),
        (Usage(images=2), BY_PICTURE),
    ],
)
def test_what_was_told_or_is_paid_by_the_picture_stays_as_it_is(
    usage: Usage, price: PriceVersion
) -> None:
    assert with_tokens(usage, price, ("", "")) is usage
