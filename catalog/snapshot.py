"""The snapshot: the whole catalog as one immutable value, built from one statement.

One statement sees one state of the database. A row that cannot be used (a key that does not open,
a field that is no number) is logged and left out, or stays as the snapshot before had it: one
broken row never takes the rest away. Keeping a process's snapshot fresh is `catalog.follower`.
"""

import base64
from collections import defaultdict
from types import MappingProxyType
from typing import Any

import msgspec

from catalog import secrets
from catalog.rates import version_of
from catalog.rows import (
    ActiveRow,
    ComponentRow,
    GroupRow,
    KeyRow,
    ModelRow,
    OfferRow,
    ProviderRow,
    VersionRow,
    decode,
)
from catalog.types import (
    PLATFORM,
    Group,
    Model,
    Offer,
    Provider,
    Snapshot,
    Timeouts,
)
from ccapi.core.limits import Limits

Lines = tuple[int, list[ComponentRow]]  # a price version and its components

# Which state this is: the number and the time of the last change, and the database's clock.
STATE = """
SELECT coalesce((SELECT revision FROM catalog_revision), 0),
       coalesce((SELECT changed_at::text FROM catalog_revision), ''),
       extract(epoch FROM clock_timestamp())::float8
"""

# Numbers and bytes travel as text, so that nothing is rounded on the way.
CATALOG = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
price AS MATERIALIZED (
  SELECT v.* FROM price_version v, clock
  WHERE v.status = 'approved' AND v.effective_from <= clock.now
    AND (v.effective_to IS NULL OR v.effective_to > clock.now))
SELECT
  coalesce((SELECT revision FROM catalog_revision), 0),
  coalesce((SELECT changed_at::text FROM catalog_revision), ''),
  (SELECT extract(epoch FROM least(
     (SELECT min(effective_from) FROM price_version, clock
      WHERE status = 'approved' AND effective_from > now),
     (SELECT min(effective_to) FROM price_version, clock
      WHERE status = 'approved' AND effective_to > now)))::float8),
  (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]')::text FROM provider p
   WHERE enabled AND base_url <> ''),
  (SELECT coalesce(jsonb_agg(jsonb_build_object(
     'id', id, 'provider_id', provider_id, 'ciphertext', encode(ciphertext, 'base64'))
     ORDER BY position), '[]')::text FROM upstream_key),
  (SELECT coalesce(jsonb_agg(to_jsonb(m) || jsonb_build_object(
     'created', extract(epoch FROM created_at)::bigint) ORDER BY catalog_id), '[]')::text
   FROM model m WHERE enabled),
  (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY priority, id), '[]')::text
   FROM offer o WHERE enabled),
  (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'model_id', model_id)), '[]')::text
   FROM price),
  (SELECT coalesce(jsonb_agg(jsonb_build_object(
     'price_version_id', price_version_id, 'unit', unit, 'sell_price', sell_price::text,
     'per', per, 'tier_start', tier_start, 'variant', variant)), '[]')::text
   FROM price_component WHERE price_version_id IN (SELECT id FROM price)),
  (SELECT coalesce(jsonb_agg(to_jsonb(g) || jsonb_build_object('aliases',
     (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'pattern', a.pattern, 'targets', a.targets) ORDER BY a.position, a.id), '[]')
      FROM group_alias a WHERE a.group_id = g.id))), '[]')::text
   FROM model_group g),
  (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]')::text FROM active_group a)
"""


class Loaded(msgspec.Struct, frozen=True):
    """A snapshot, the state it shows, and when the clock alone makes it stale."""

    snapshot: Snapshot
    state: tuple[int, str]
    next_change: float | None  # epoch seconds of the next price to begin or end

    def is_fresh(self, row: tuple[Any, ...]) -> bool:
        """Whether a row of STATE says that nothing has changed."""
        revision, changed_at, now = row
        return self.state == (revision, changed_at) and not (
            self.next_change is not None and now >= self.next_change
        )


def build(row: tuple[Any, ...], before: Loaded | None = None) -> Loaded:
    """The snapshot of one row of CATALOG; `before` lends what is broken in it."""
    revision, changed_at, next_change, *texts = row
    last = before.snapshot if before is not None else None
    keys: defaultdict[int, list[KeyRow]] = defaultdict(list)
    for key in decode(texts[1], KeyRow):
        keys[key.provider_id].append(key)
    providers = _providers(texts[0], keys, last)
    prices = _prices(texts[4], texts[5])
    models = _models(texts[2], _offers(texts[3], providers), prices, last)
    snapshot = Snapshot(
        revision=revision,
        models=MappingProxyType(models),
        providers=MappingProxyType({each.name: each for each in providers.values()}),
        bare_names=MappingProxyType(_bare_names(models)),
        groups=MappingProxyType(_groups(texts[6], last)),
        active_groups=MappingProxyType(
            {row.organization_id: row.name for row in decode(texts[7], ActiveRow)}
        ),
    )
    return Loaded(snapshot, (revision, changed_at), next_change)


def _providers(
    text: str, keys: dict[int, list[KeyRow]], last: Snapshot | None
) -> dict[int, Provider]:
    """By id: every enabled provider that has what it needs."""
    before = {each.id: each for each in last.providers.values()} if last is not None else {}
    found: dict[int, Provider] = {}
    opened: dict[int, tuple[str, ...]] = {}

    def keep(row: dict[str, Any]) -> None:
        if row["id"] in before:
            found[row["id"]] = before[row["id"]]

    def open_keys(row: ProviderRow) -> None:
        opened[row.id] = tuple(_open(key) for key in keys.get(row.id, ()))

    for row in decode(text, ProviderRow, broken=keep, check=open_keys):
        if opened[row.id] or not row.needs_key:
            found[row.id] = _provider(row, opened[row.id])
    return found


def _open(key: KeyRow) -> str:
    where = secrets.key_place(key.id, key.provider_id)
    return secrets.decrypt(base64.b64decode(key.ciphertext), where)


def _provider(row: ProviderRow, api_keys: tuple[str, ...]) -> Provider:
    return Provider(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        protocol=row.protocol,
        base_url=row.base_url.rstrip("/"),
        api_keys=api_keys,
        auth=row.auth,
        query=tuple(row.query.items()),
        headers=tuple(row.headers.items()),
        on_disconnect=row.on_disconnect,
        timeouts=Timeouts(
            connect=row.connect_timeout_s,
            first_byte=row.first_byte_timeout_s,
            first_byte_with_alternative=row.first_byte_with_alternative_timeout_s,
            idle=row.idle_timeout_s,
            total=row.total_timeout_s,
        ),
        limits=Limits(rpm=row.rpm, tpm=row.tpm, concurrent=row.concurrent),
        is_fundamental=row.is_fundamental,
        description=row.description,
        website=row.website,
    )


def _offers(
    text: str, providers: dict[int, Provider]
) -> dict[int, list[tuple[OfferRow, Provider]]]:
    """By model: the offers whose provider can be called, in order."""
    found: defaultdict[int, list[tuple[OfferRow, Provider]]] = defaultdict(list)
    for row in decode(text, OfferRow):
        provider = providers.get(row.provider_id)
        if provider is not None:
            found[row.model_id].append((row, provider))
    return found


def _prices(versions: str, components: str) -> dict[int, Lines]:
    """By model: the version in force, with its components."""
    by_version: defaultdict[int, list[ComponentRow]] = defaultdict(list)
    # Without one of its prices a version would charge too little: the model has none, then.
    broken: set[int] = set()
    for component in decode(
        components,
        ComponentRow,
        broken=lambda row: broken.add(row["price_version_id"]),
        check=lambda row: row.pico,
    ):
        by_version[component.price_version_id].append(component)
    found = {}
    for row in decode(versions, VersionRow):
        lines = by_version[row.id]
        is_based = any(not line.tier_start and not line.variant for line in lines)
        if is_based and row.id not in broken:
            found[row.model_id] = (row.id, lines)
    return found


def _models(
    text: str,
    offers: dict[int, list[tuple[OfferRow, Provider]]],
    prices: dict[int, Lines],
    last: Snapshot | None,
) -> dict[str, Model]:
    """By catalog id: every model that somebody offers."""
    found: dict[str, Model] = {}

    def keep(row: dict[str, Any]) -> None:
        name = str(row.get("catalog_id"))
        if last is not None and name in last.models:
            found[name] = last.models[name]

    for row in decode(text, ModelRow, broken=keep):
        offered = offers.get(row.id)
        if offered:
            found[row.catalog_id] = _model(row, offered, prices.get(row.id))
    return found


def _model(
    row: ModelRow,
    offered: list[tuple[OfferRow, Provider]],
    price: Lines | None,
) -> Model:
    return Model(
        id=row.catalog_id,
        provider=row.catalog_id.partition("/")[0],
        type=row.type,
        display_name=row.display_name,
        created=row.created,
        context_length=row.context_length,
        max_output_tokens=row.max_output_tokens,
        capabilities=frozenset(row.capabilities),
        input_modalities=tuple(row.input_modalities),
        output_modalities=tuple(row.output_modalities),
        priority=row.priority,
        price=version_of(price[0], row.catalog_id, price[1]) if price is not None else None,
        offers=tuple(
            Offer(
                id=offer.id,
                model=row.catalog_id,
                provider=provider,
                upstream_model=offer.upstream_model,
                priority=offer.priority,
                weight=offer.weight,
            )
            for offer, provider in offered
        ),
    )


def _groups(text: str, last: Snapshot | None) -> dict[tuple[int, str], Group]:
    """By whose it is and its name."""
    found: dict[tuple[int, str], Group] = {}

    def keep(row: dict[str, Any]) -> None:
        place = (row.get("organization_id") or PLATFORM, str(row.get("name")))
        if last is not None and place in last.groups:
            found[place] = last.groups[place]

    for row in decode(text, GroupRow, broken=keep):
        found[row.organization_id or PLATFORM, row.name] = Group(**msgspec.structs.asdict(row))
    return found


def _bare_names(models: dict[str, Model]) -> dict[str, str]:
    """Of several: the lowest priority number, then the provider's name."""
    found: dict[str, Model] = {}
    for model in models.values():
        other = found.get(model.name)
        if other is None or (model.priority, model.provider) < (other.priority, other.provider):
            found[model.name] = model
    return {name: model.id for name, model in found.items()}
