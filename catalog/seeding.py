"""The seed catalog: what a fresh database starts with, and keys from the environment.

Seeding creates what is missing and never touches what stands, but for two things: keys that came
from an environment variable follow it, and Ollama is enabled where OLLAMA_BASE_URL names it.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

from django.db import transaction

from catalog import importer, prices, upstream_keys
from catalog.file import document
from catalog.file.entries import KEEP, Document, ProviderEntry
from catalog.file.providers import is_base_url
from catalog.file.reading import parse_yaml
from catalog.importer import NewModel, Tally
from catalog.models import CatalogSettings, Model, Provider
from catalog.types import SANDBOXES, Changes

FILE = Path(__file__).with_name("seed.yaml")
FIXED = frozenset({*SANDBOXES, "local"})  # their prices no markup moves
OLLAMA_AT = "http://127.0.0.1:11434/v1"


def load(environ: Mapping[str, str]) -> Document:
    """The seed file, its keys from `environ`."""
    data, source = parse_yaml(_text(), is_ours=True)
    return document.read(data, source, environ, seed=True)


@cache
def _text() -> str:
    return FILE.read_text(encoding="utf-8")


@transaction.atomic
def seed(environ: Mapping[str, str]) -> Changes:
    importer.lock()
    wanted = load(environ)
    tally = Tally()
    markup = CatalogSettings.objects.get_or_create(pk=1)[0].markup
    stand = {row.name: row for row in Provider.objects.prefetch_related("keys")}
    for entry in wanted.providers:
        _provider(entry, stand.get(entry.name), tally)
    _ollama(environ.get("OLLAMA_BASE_URL", "").strip(), tally)
    known = dict(Provider.objects.values_list("name", "pk"))
    models = set(Model.objects.values_list("catalog_id", flat=True))
    new = []
    for model in wanted.models:
        if model.id in models:
            tally.add("unchanged", "model", model.id)
        elif model.provider in FIXED:
            new.append(NewModel(model, prices.sheet(model.prices, markup), "sandbox"))
        else:  # the file tells what they cost us
            costs = prices.sheet(model.prices, Decimal(1))
            new.append(NewModel(model, prices.marked_up(costs, markup), importer.SEED))
    importer.create_models(wanted, new, known, tally, actor="seed")
    wanted.source.check()
    transaction.on_commit(importer.announce)
    return tally.changes()


def _provider(entry: ProviderEntry, row: Provider | None, tally: Tally) -> None:
    origin = f"env:{entry.key_variables[0]}" if entry.key_variables else "file"
    if row is None:
        importer.create_provider(entry, tally, origin=origin)
        return
    follows = all(key.origin == origin for key in row.keys.all())  # also where there is none yet
    changed = (
        entry.api_keys not in (KEEP, ())
        and follows
        and upstream_keys.replace(row, tuple(entry.api_keys), origin=origin)
    )
    tally.add("updated" if changed else "unchanged", "provider", entry.name)


def _ollama(url: str, tally: Tally) -> None:
    """Enable Ollama at this address, unless somebody has given it another or a key."""
    row = Provider.objects.get(name="ollama")
    if not is_base_url(url) or row.enabled or row.base_url != OLLAMA_AT:
        return
    url = url.rstrip("/")
    row.base_url = url if url.count("/") > 2 else f"{url}/v1"
    row.enabled = True
    row.save(update_fields=["base_url", "enabled"])
    tally.add("updated", "provider", row.name)
