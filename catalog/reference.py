"""What the price library knows, in our units: to review the seed, and for `catalog prices --check`.

Never asked when a request is charged: the library answers 0 for a wrong unit. Where it knows prices
by the time of day, the dearest counts, so that a model is never sold below its cost.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, TieredPrices
from genai_prices.types import StartDateConstraint as StartDate

from catalog.models import Model
from catalog.prices import Place, current, sheet_of

Sells = dict[Place, Decimal]

# Our provider → the library's; those not here (local, sandbox, ollama) have no list price.
LIBRARY = {"xai": "x-ai"} | {
    name: name
    for name in ("openai", "anthropic", "google", "deepseek", "mistral", "groq", "openrouter")
}
# The library's price → our unit, and how many of ours it is for.
UNITS = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "input_audio_mtok": ("input_audio", 1),
    "output_audio_mtok": ("output_audio", 1),
    "input_image_mtok": ("input_image", 1),
    "output_image_mtok": ("output_image", 1),
    "web_searches_kcount": ("web_search", 1000),
    "input_mchars": ("input_characters", 1),
}


def reference(provider: str, upstream_model: str, at: datetime) -> Sells | None:
    """The list prices of a model at an instant; None where the library does not know it."""
    for known in providers:
        if known.id == LIBRARY.get(provider):
            for model in known.models:
                if model.id == upstream_model:
                    return _dearest([_sells(price) for price in _in_force(model, at)])
            for model in known.models:
                if model.is_match(upstream_model):
                    return _dearest([_sells(price) for price in _in_force(model, at)])
    return None


def differences(at: datetime) -> Iterator[str]:
    """One line for every model whose costs are not the library's."""
    models = Model.objects.filter(provider__name__in=LIBRARY).select_related("provider")
    for model in models.prefetch_related("offers"):
        version = current(model, at)
        offer = next(
            (each for each in model.offers.all() if each.provider_id == model.provider_id), None
        )
        if version is None or offer is None:
            continue
        ours = {
            place: price.cost for place, price in sheet_of(version).items() if not place.variant
        }
        if any(place.unit == "image" for place in ours):
            continue  # the library has no prices by the picture
        theirs = reference(model.provider.name, offer.upstream_model, at)
        if theirs is None:
            yield f"{model.catalog_id}: not known to the library"
            continue
        for place in sorted(ours.keys() | theirs.keys()):
            if ours.get(place) != theirs.get(place):
                tier = f" above {place.tier_start}" if place.tier_start else ""
                yield (
                    f"{model.catalog_id} {place.unit}{tier}: ours {ours.get(place, '-')},"
                    f" theirs {theirs.get(place, '-')}"
                )


def _in_force(model: ModelInfo, at: datetime) -> list[ModelPrice]:
    """The prices that hold at some time of this day: one, or several where the hour decides."""
    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    held: list[ConditionalPrice] = []
    for price in model.prices:
        if price.constraint is None:
            held = [price]
        elif isinstance(price.constraint, StartDate):
            if price.constraint.start_date <= at.date():
                held = [price]
        else:
            held.append(price)
    return [price.prices for price in held]


def _sells(price: ModelPrice) -> Sells:
    found: Sells = {}
    for name, (unit, per) in UNITS.items():
        value = getattr(price, name, None)
        if isinstance(value, TieredPrices):
            found[Place(unit)] = value.base / per
            for tier in value.tiers:
                found[Place(unit, tier.start)] = tier.price / per
        elif value is not None:
            found[Place(unit)] = value / per
    return found


def _dearest(sheets: list[Sells]) -> Sells:
    return {
        place: max(each[place] for each in sheets if place in each)
        for place in {place for each in sheets for place in each}
    }
