"""Models of the catalog file: their columns, offers, and prices with tiers and variants."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

from catalog import units
from catalog.file.entries import ModelEntry, OfferEntry, PriceLine
from catalog.file.reading import Section, refuse_repeats


def read_model(section: Section) -> ModelEntry:
    model_id = section.text("id", None, longest=200)
    if model_id and not units.MODEL_ID.fullmatch(model_id):
        section.problem("id", f"must be provider/name, not {model_id!r}")
    kind = section.choice("type", units.MODEL_TYPES, "chat")
    provider, _, name = model_id.partition("/")
    upstream_model = section.text("upstream_model", name) or name
    columns: dict[str, object] = {
        "type": kind,
        "display_name": section.text("display_name", name, longest=200) or name,
        "context_length": section.whole("context_length"),
        "max_output_tokens": section.whole("max_output_tokens"),
        "capabilities": list(section.texts("capabilities")),
        "input_modalities": list(section.texts("input_modalities", ("text",))),
        "output_modalities": list(section.texts("output_modalities", ("text",))),
        "priority": section.whole("priority", least=-1_000_000, most=1_000_000),
        "enabled": section.flag("enabled", default=True),
    }
    offers = tuple(_offer(each, upstream_model) for each in section.sections("offers"))
    refuse_repeats(
        section.source,
        [(each.path, "provider", f"{each.provider} {each.upstream_model}") for each in offers],
    )
    entry = ModelEntry(
        path=section.path,
        id=model_id,
        columns=columns,
        offers=offers
        or (OfferEntry(path=section.path, provider=provider, upstream_model=upstream_model),),
        prices=_prices(section, kind),
        effective_from=section.parsed("effective_from", instant),
    )
    section.close()
    return entry


def _offer(section: Section, upstream_model: str) -> OfferEntry:
    costs = section.section("costs")
    entry = OfferEntry(
        path=section.path,
        provider=section.text("provider", None, longest=64),
        upstream_model=section.text("upstream_model", upstream_model),
        priority=section.whole("priority", least=-1_000_000, most=1_000_000),
        weight=section.whole("weight", 1, most=1_000_000),
        enabled=section.flag("enabled", default=True),
        costs={unit: units.written(cost) for unit, cost in _units(costs).items()},
    )
    section.close()
    return entry


def _prices(section: Section, kind: str) -> tuple[PriceLine, ...]:
    """Base prices, tiers and variants as lines."""
    given = section.has("prices")
    base = section.section("prices")
    named = base.names()
    lines = _lines(section, _units(base), _units(section.section("costs")), 0, "")
    lines += _tiers(section)
    variants = section.section("variants")
    for name in variants.names():
        if units.variant_name(units.variant(name)) != name:
            variants.problem(name, "is no service tier and no image size")
        lines += _lines(variants, _units(variants.section(name)), {}, 0, name)
    if not given:
        if lines:
            section.problem("prices", "is missing, but tiers or variants stand here")
        return ()
    missing = units.missing(kind, named)
    if missing:
        section.problem("prices", f'{missing} is missing (free is {missing.split()[0]}: "0")')
    if not named:
        section.problem("prices", "has no price")
    return tuple(lines)


def _tiers(section: Section) -> list[PriceLine]:
    lines: list[PriceLine] = []
    last = 0
    for tier in section.sections("tiers"):
        start = tier.whole("above_input_tokens", 1, least=1)
        if start <= last:
            tier.problem("above_input_tokens", "must be above that of the tier before")
        last = start
        if not tier.has("prices"):
            tier.problem("prices", "is missing")
        prices = _units(tier.section("prices"))
        lines += _lines(tier, prices, _units(tier.section("costs")), start, "")
        tier.close()
    return lines


def _units(section: Section) -> dict[str, Decimal]:
    found = {}
    for name in section.names():
        if name not in units.UNITS:
            section.take(name)
            section.problem(name, f"is no unit of price; known are {', '.join(units.UNITS)}")
            continue
        number = section.parsed(name, units.price)
        if number is not None:
            found[name] = number
    return found


def _lines(
    section: Section,
    prices: dict[str, Decimal],
    costs: dict[str, Decimal],
    tier_start: int,
    variant: str,
) -> list[PriceLine]:
    for unit in costs.keys() - prices.keys():
        section.source.add((*section.path, "costs", unit), "has a cost but no price")
    return [
        PriceLine(unit, tier_start, variant, sell, costs.get(unit)) for unit, sell in prices.items()
    ]


def instant(value: object) -> datetime:
    """A date or time as written; without a zone it is UTC. Raises: ValueError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"must be a date or a time, not {value!r}") from error
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"must be a date or a time, not {value!r}")  # noqa: TRY004
    return value if value.tzinfo else value.replace(tzinfo=UTC)
