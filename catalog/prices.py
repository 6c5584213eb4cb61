"""Price versions: a changed price is a new version, and the one before ends where it begins.

Nothing here edits an approved version but for its end (the database refuses the rest). Times are
the database's. Reading prices for a request is `catalog.snapshot`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal, NamedTuple

from django.db import connection, transaction

from catalog import units
from catalog.file.entries import PriceLine
from catalog.models import Model, PriceComponent, PriceVersion

GRID = Decimal(1).scaleb(-units.DECIMALS)


class Place(NamedTuple):
    """Which price of a version; `variant` is its written name."""

    unit: str
    tier_start: int = 0
    variant: str = ""


class Price(NamedTuple):
    sell: Decimal
    cost: Decimal


Sheet = dict[Place, Price]
Outcome = Literal["created", "updated", "unchanged"]


class PastPriceError(ValueError):
    """A new price for time that has already been charged."""


def sheet(
    lines: Iterable[PriceLine], markup: Decimal, *, standing: PriceVersion | None = None
) -> Sheet:
    """The lines with their costs.

    Where none is stated: the standing one if the price stands, else the price over the markup.
    """
    before = sheet_of(standing) if standing is not None else {}
    found = {}
    for line in lines:
        place = Place(line.unit, line.tier_start, line.variant)
        cost, stands = line.cost, before.get(place)
        if cost is None and stands is not None and stands.sell == line.sell:
            cost = stands.cost
        found[place] = Price(line.sell, on_grid(line.sell / markup) if cost is None else cost)
    return found


def sheet_of(version: PriceVersion) -> Sheet:
    return {
        Place(row.unit, row.tier_start, units.variant_name(row.variant)): Price(
            row.sell_price, row.cost_price
        )
        for row in version.components.all()
    }


def marked_up(old: Sheet, markup: Decimal) -> Sheet:
    """The same costs, sold at cost times markup."""
    return {place: Price(on_grid(price.cost * markup), price.cost) for place, price in old.items()}


def on_grid(number: Decimal) -> Decimal:
    """Rounded to the 12 decimals that the table keeps."""
    return number.quantize(GRID, ROUND_HALF_EVEN)


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]  # timestamptz


def current(model: Model, at: datetime | None = None) -> PriceVersion | None:
    """The approved version in force at an instant (now)."""
    return _covering(_approved(model), at or database_now())


@transaction.atomic
def revise(
    model: Model,
    wanted: Sheet,
    *,
    effective_from: datetime | None = None,
    source: str,
    actor: str,
) -> Outcome:
    """Make these the prices from `effective_from` (now) to the next version that stands already.

    Raises: PastPriceError where that would change what has been charged.
    """
    Model.objects.select_for_update().get(pk=model.pk)
    now = database_now()
    start = effective_from or now
    versions = _approved(model)
    covering = _covering(versions, start)
    if covering is not None and sheet_of(covering) == wanted:
        return "unchanged"
    if covering is not None and start < now:
        raise PastPriceError(
            f"{start.isoformat()} has passed and another price was in force; leave effective_from"
            " out (the new price holds from now) or name a time to come"
        )
    draft = PriceVersion.objects.create(model=model, effective_from=start, source=source)
    write(draft, wanted)
    _take_over(draft, covering, _next_start(versions, start), actor)
    return "updated" if versions else "created"


class First(NamedTuple):
    """The first prices of a model, from an instant on (now)."""

    model: Model
    sheet: Sheet
    effective_from: datetime | None
    source: str


def begin(firsts: Iterable[First], *, actor: str) -> None:
    """For models that this transaction has made: what `revise` does, for all of them at once."""
    now = database_now()
    wanted = list(firsts)
    drafts = PriceVersion.objects.bulk_create(
        PriceVersion(
            model=first.model, effective_from=first.effective_from or now, source=first.source
        )
        for first in wanted
    )
    PriceComponent.objects.bulk_create(
        component
        for draft, first in zip(drafts, wanted, strict=True)
        for component in _components(draft, first.sheet)
    )
    PriceVersion.objects.filter(pk__in=[draft.pk for draft in drafts]).update(
        status=PriceVersion.Status.APPROVED, approved_by=actor
    )


@transaction.atomic
def adopt(draft: PriceVersion, actor: str) -> None:
    """Approve a draft that has its components: from its start, or from now if that has passed."""
    Model.objects.select_for_update().get(pk=draft.model_id)
    draft.effective_from = max(draft.effective_from, database_now())
    versions = _approved(draft.model)
    covering = _covering(versions, draft.effective_from)
    _take_over(draft, covering, _next_start(versions, draft.effective_from), actor)


def _take_over(
    draft: PriceVersion, covering: PriceVersion | None, end: datetime | None, actor: str
) -> None:
    """End the version that covers the draft's start, and approve the draft up to the next one."""
    if covering is not None and covering.effective_from == draft.effective_from:
        covering.status = PriceVersion.Status.RETIRED
        covering.save(update_fields=["status"])
    elif covering is not None:
        covering.effective_to = draft.effective_from
        covering.save(update_fields=["effective_to"])
    draft.effective_to = end
    draft.status = PriceVersion.Status.APPROVED
    draft.approved_by = actor
    draft.save(update_fields=["effective_from", "effective_to", "status", "approved_by"])


def write(version: PriceVersion, wanted: Sheet) -> None:
    """The components of a draft."""
    PriceComponent.objects.bulk_create(_components(version, wanted))


def _components(version: PriceVersion, wanted: Sheet) -> Iterator[PriceComponent]:
    return (
        PriceComponent(
            price_version=version,
            unit=place.unit,
            tier_start=place.tier_start,
            variant=units.variant(place.variant) if place.variant else {},
            sell_price=price.sell,
            cost_price=price.cost,
            per=units.PER[place.unit],
        )
        for place, price in wanted.items()
    )


def _approved(model: Model) -> list[PriceVersion]:
    return list(
        model.price_versions.filter(status=PriceVersion.Status.APPROVED)
        .order_by("effective_from")
        .prefetch_related("components")
    )


def _covering(versions: list[PriceVersion], at: datetime) -> PriceVersion | None:
    for version in versions:
        ends = version.effective_to
        if version.effective_from <= at and (ends is None or at < ends):
            return version
    return None


def _next_start(versions: list[PriceVersion], at: datetime) -> datetime | None:
    return min((each.effective_from for each in versions if each.effective_from > at), default=None)
