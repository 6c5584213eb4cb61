"""Prices and usages at random, and an oracle of exact fractions that says what they cost."""

from fractions import Fraction
from types import MappingProxyType

from hypothesis import strategies as st

from billing import pricing
from catalog.types import PriceVersion, Rate, Tier, Variant
from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE, Usage

UNLIMITED = 10**18
TOKENS = INPUT_SIDE + OUTPUT_SIDE
SIZES = ("1024x1024", "1024x1536", "2048x2048")
QUALITIES = ("low", "high", "hd")


def version(
    rates: dict[str, Rate],
    tiers: tuple[tuple[int, dict[str, Rate]], ...] = (),
    variants: dict[tuple[str, str], dict[str, Rate]] | None = None,
    *,
    model: str = "acme/one",
) -> PriceVersion:
    """A price; a variant is keyed by size and quality, "" for the size alone."""
    return PriceVersion(
        id=1,
        model=model,
        rates=MappingProxyType(rates),
        tiers=tuple(Tier(above, MappingProxyType(changed)) for above, changed in tiers),
        variants=tuple(
            Variant(
                MappingProxyType({"size": size} | ({"quality": quality} if quality else {})),
                MappingProxyType(changed),
            )
            for (size, quality), changed in (variants or {}).items()
        ),
    )


def dollars(**amounts: str) -> dict[str, Rate]:
    """Per million tokens or characters, per picture."""
    return {
        name: Rate(int(Fraction(amount) * 10**12), 1 if name in ("image", "request") else 10**6)
        for name, amount in amounts.items()
    }


RATES = st.builds(
    Rate, pico=st.integers(0, 10**14), per=st.sampled_from([1, 60, 1000, 3600, 1_000_000])
)
NAMES = st.sampled_from([*TOKENS, "request", "web_search", "image", "input_characters"])
VARIANTS = st.tuples(st.sampled_from(("", "auto", *SIZES)), st.sampled_from(("", *QUALITIES)))
PRICES = st.builds(
    lambda rates, must, tiers, variants, model: version(
        {**rates, **must},
        tuple(tiers),
        {(size or "auto", quality): changed for (size, quality), changed in variants.items()},
        model=model,
    ),
    st.dictionaries(NAMES, RATES),
    st.fixed_dictionaries({"input": RATES, "output": RATES}),
    st.lists(
        st.tuples(st.integers(1, 5_000), st.dictionaries(NAMES, RATES)),
        max_size=2,
        unique_by=lambda tier: tier[0],
    ),
    st.dictionaries(VARIANTS, st.dictionaries(NAMES, RATES, max_size=3), max_size=4),
    st.sampled_from(["acme/one", "openai/gpt-image-1", "openai/gpt-image-2", "google/gemini-9"]),
)
USAGES = st.builds(
    Usage,
    **{name: st.integers(0, 3_000) for name in TOKENS},
    requests=st.integers(0, 3),
    web_searches=st.integers(0, 5),
    images=st.integers(0, 4),
    characters=st.integers(0, 5_000),
)


def oracle(
    usage: Usage, price: PriceVersion, variant: tuple[str, str] = ("", "")
) -> tuple[Fraction, Fraction]:
    """Exact input and output cost in nano-dollars, written as the catalog's words say it."""
    rates = dict(price.rates)
    for tier in sorted(price.tiers, key=lambda tier: tier.above_input_tokens):
        if usage.input_total > tier.above_input_tokens:
            rates = {**price.rates, **tier.rates}
    size, quality = variant
    by_fields = {tuple(each.fields.values()): each.rates for each in price.variants}
    rates |= by_fields.get((size or "auto",), {})
    rates |= by_fields.get((size or "auto", quality), {})

    def cost(bucket: str) -> Fraction:
        for name in pricing.FALLBACKS[bucket]:
            if name in rates:
                rate = rates[name]
                return Fraction(getattr(usage, bucket) * rate.pico, rate.per * 1000)
        return Fraction(0)

    inputs = sum((cost(name) for name in (*INPUT_SIDE, *pricing.FEES)), Fraction(0))
    return inputs, sum((cost(name) for name in (*OUTPUT_SIDE, "images")), Fraction(0))
