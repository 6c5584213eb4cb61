"""Taking a catalog document over: an idempotent upsert in one transaction, or nothing at all.

A row of the document is stated whole: what it leaves out has the documented default. Rows that it
does not name stay as they are. What is equal already is not written: nothing follows from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from catalog import prices, upstream_keys
from catalog.file.entries import KEEP, Document, ModelEntry, OfferEntry, ProviderEntry
from catalog.groups import store
from catalog.models import CatalogSettings, Model, Offer, Provider
from catalog.types import Changes
from ccapi.core import valkey

CHANNEL = "ccapi:catalog"
SEED = "seed"  # how the source of a price begins that the markup moves


class Tally:
    """What changed so far."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}

    def add(self, outcome: str, kind: str, name: str) -> None:
        self.names[outcome].append(f"{kind} {name}")

    def changes(self) -> Changes:
        return Changes(
            created=tuple(self.names["created"]),
            updated=tuple(self.names["updated"]),
            unchanged=tuple(self.names["unchanged"]),
            not_configured=tuple(provider.name for provider in not_configured()),
        )


@transaction.atomic
def apply(document: Document, *, source: str, actor: str) -> Changes:
    """Upsert everything. Raises: DocumentError; then nothing has changed."""
    lock()
    tally = Tally()
    markup = _apply_settings(document, tally)
    for provider in document.providers:
        _apply_provider(provider, tally)
    known = dict(Provider.objects.values_list("name", "pk"))
    named = Model.objects.filter(catalog_id__in=[entry.id for entry in document.models])
    stand = {row.catalog_id: row for row in named.prefetch_related("offers")}
    new = []
    for entry in document.models:
        if not check_providers(document, entry, known):
            continue
        if row := stand.get(entry.id):
            _update_model(
                document, entry, row, known, tally, markup=markup, source=source, actor=actor
            )
        else:
            new.append(NewModel(entry, prices.sheet(entry.prices, markup), source))
    create_models(document, new, known, tally, actor=actor)
    _apply_groups(document, tally)
    document.source.check()
    transaction.on_commit(announce)
    return tally.changes()


def lock() -> None:
    """One import at a time; two would meet in the same rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ccapi.catalog'))")


def announce() -> None:
    """Tell every process to look; those that miss it look by themselves within a second."""
    valkey.publish(CHANNEL, "changed")


def not_configured() -> list[Provider]:
    """Enabled providers that wait for a key or an address."""
    waiting = Provider.objects.filter(enabled=True).prefetch_related("keys")
    return [each for each in waiting if not is_configured(each)]


def is_configured(provider: Provider) -> bool:
    return bool(provider.base_url) and (not provider.needs_key or bool(provider.keys.all()))


def _apply_settings(document: Document, tally: Tally) -> Decimal:
    """Store the markup and the default limits; a changed markup moves the seeded prices."""
    row, _ = CatalogSettings.objects.get_or_create(pk=1)
    wanted: dict[str, object] = dict(document.defaults or {})
    if document.markup is not None:
        wanted["markup"] = document.markup
    moved = document.markup is not None and document.markup != row.markup
    if wanted:
        tally.add("updated" if write_columns(row, wanted) else "unchanged", "settings", "catalog")
    if moved:
        _move_seeded_prices(document, row.markup, tally)
    return row.markup


def _move_seeded_prices(document: Document, markup: Decimal, tally: Tally) -> None:
    named = {entry.id for entry in document.models}
    for model in Model.objects.exclude(catalog_id__in=named):
        version = prices.current(model)
        if version is None or not version.source.startswith(SEED):
            continue
        wanted = prices.marked_up(prices.sheet_of(version), markup)
        outcome = prices.revise(
            model, wanted, source=version.source, actor=f"markup {markup.normalize():f}"
        )
        tally.add(outcome, "price", model.catalog_id)


def _apply_groups(document: Document, tally: Tally) -> None:
    """A group of the file is the platform's."""
    unknown = store.unknown_targets(document.groups)
    for path, target in unknown:
        document.source.add(path, f"there is no model {target!r}")
    if not unknown:
        for entry in document.groups:
            tally.add(store.save(entry, organization_id=None), "group", entry.name)


def write_columns(
    row: Provider | Model | Offer | CatalogSettings, columns: dict[str, object]
) -> bool:
    """Save the columns that differ; False where none does."""
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    if changed:
        row.save(update_fields=changed)
    return bool(changed)


def _apply_provider(entry: ProviderEntry, tally: Tally) -> None:
    row = Provider.objects.filter(name=entry.name).first()
    if row is None:
        create_provider(entry, tally, origin="file")
        return
    changed = write_columns(row, entry.columns)
    if entry.api_keys != KEEP:
        changed = upstream_keys.replace(row, entry.api_keys, origin="file") or changed
    tally.add("updated" if changed else "unchanged", "provider", entry.name)


def create_provider(entry: ProviderEntry, tally: Tally, *, origin: str) -> Provider:
    row = Provider.objects.create(name=entry.name, **entry.columns)
    if entry.api_keys != KEEP:
        upstream_keys.replace(row, entry.api_keys, origin=origin)
    tally.add("created", "provider", entry.name)
    return row


def check_providers(document: Document, entry: ModelEntry, known: Iterable[str]) -> bool:
    """Whether every provider that the model names is there; what is not is a problem."""
    missing = [(entry.path, "id", entry.provider)] if entry.provider not in known else []
    missing += [
        (offer.path, "provider", offer.provider)
        for offer in entry.offers
        if offer.provider not in known and offer.path != entry.path
    ]
    for path, field, name in missing:
        document.source.add((*path, field), f"there is no provider {name!r}")
    return not missing


class NewModel(NamedTuple):
    """A model that is not there yet, and what it is to cost."""

    entry: ModelEntry
    sheet: prices.Sheet
    source: str


def create_models(
    document: Document,
    wanted: Sequence[NewModel],
    known: Mapping[str, int],
    tally: Tally,
    *,
    actor: str,
) -> None:
    """All with their offers and prices, in as many statements as one takes."""
    for entry, sheet, _ in wanted:
        if not sheet:
            document.source.add(
                (*entry.path, "prices"), 'is missing (a free model says input: "0", output: "0")'
            )
    rows = Model.objects.bulk_create(
        Model(catalog_id=entry.id, provider_id=known[entry.provider], **entry.columns)
        for entry, _, _ in wanted
    )
    Offer.objects.bulk_create(
        _offer(row, offer, known)
        for row, (entry, _, _) in zip(rows, wanted, strict=True)
        for offer in entry.offers
    )
    firsts = [
        prices.First(row, sheet, entry.effective_from, source)
        for row, (entry, sheet, source) in zip(rows, wanted, strict=True)
    ]
    prices.begin(firsts, actor=actor)
    for entry, _, _ in wanted:
        tally.add("created", "model", entry.id)
        tally.add("created", "price", entry.id)


def _update_model(
    document: Document,
    entry: ModelEntry,
    row: Model,
    known: Mapping[str, int],
    tally: Tally,
    *,
    markup: Decimal,
    source: str,
    actor: str,
) -> None:
    changed = write_columns(row, entry.columns)
    changed = _apply_offers(row, entry.offers, known) or changed
    tally.add("updated" if changed else "unchanged", "model", entry.id)
    if not entry.prices:
        return
    wanted = prices.sheet(entry.prices, markup, standing=prices.current(row))
    try:
        outcome = prices.revise(
            row,
            wanted,
            effective_from=entry.effective_from,
            source=source,
            actor=actor,
        )
    except prices.PastPriceError as error:
        document.source.add((*entry.path, "effective_from"), str(error))
    else:
        tally.add(outcome, "price", entry.id)


def _apply_offers(model: Model, entries: tuple[OfferEntry, ...], known: Mapping[str, int]) -> bool:
    """Exactly these offers; False where they stand already."""
    stands = {(row.provider_id, row.upstream_model): row for row in model.offers.all()}
    changed = False
    for entry in entries:
        row = stands.pop((known[entry.provider], entry.upstream_model), None)
        if row is not None:
            changed = write_columns(row, _offer_columns(entry)) or changed
            continue
        _offer(model, entry, known).save()
        changed = True
    for row in stands.values():
        row.delete()
    return changed or bool(stands)


def _offer(model: Model, entry: OfferEntry, known: Mapping[str, int]) -> Offer:
    return Offer(
        model=model,
        provider_id=known[entry.provider],
        upstream_model=entry.upstream_model,
        **_offer_columns(entry),
    )


def _offer_columns(entry: OfferEntry) -> dict[str, object]:
    return {
        "priority": entry.priority,
        "weight": entry.weight,
        "enabled": entry.enabled,
        "costs": entry.costs,
    }
