"""The value of a price version, made of its components: rates, tiers, variants.

The snapshot makes those in force; `price_version` any other, for work that outlives the price that
it began with.
"""

from collections import defaultdict
from collections.abc import Iterable
from types import MappingProxyType

from catalog import models, units
from catalog.rows import ComponentRow
from catalog.types import PriceVersion, Rate, Tier, Variant


def price_version(version_id: int) -> PriceVersion | None:
    """An approved version, in force or past, as requests carried it; None if there is none."""
    row = (
        models.PriceVersion.objects.exclude(status=models.PriceVersion.Status.DRAFT)
        .select_related("model")
        .prefetch_related("components")
        .filter(pk=version_id)
        .first()
    )
    if row is None:
        return None
    lines = (
        ComponentRow(
            price_version_id=version_id,
            unit=each.unit,
            sell_price=each.sell_price,
            per=each.per,
            tier_start=each.tier_start,
            variant=each.variant,
        )
        for each in row.components.all()
    )
    return version_of(version_id, row.model.catalog_id, lines)


def version_of(version_id: int, model: str, lines: Iterable[ComponentRow]) -> PriceVersion:
    """A tier has every rate: its own, else the base's. A variant has what differs."""
    base: dict[str, Rate] = {}
    tiers: defaultdict[int, dict[str, Rate]] = defaultdict(dict)
    variants: defaultdict[str, dict[str, Rate]] = defaultdict(dict)
    for line in lines:
        if line.variant:
            rates = variants[units.variant_name(line.variant)]
        else:
            rates = tiers[line.tier_start] if line.tier_start else base
        rates[line.unit] = Rate(line.pico, line.per)
    return PriceVersion(
        id=version_id,
        model=model,
        rates=MappingProxyType(base),
        tiers=tuple(
            Tier(start, MappingProxyType({**base, **rates}))
            for start, rates in sorted(tiers.items())
        ),
        variants=tuple(
            Variant(MappingProxyType(units.variant(name)), MappingProxyType(rates))
            for name, rates in sorted(variants.items())
        ),
    )
