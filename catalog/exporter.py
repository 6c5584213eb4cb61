"""The catalog as a document that the importer takes again: stored keys as `keep`, prices in force.

A price that is only scheduled is not in it: a document states one price of a model.
"""

from collections import defaultdict

from catalog import prices, units
from catalog.groups import store
from catalog.models import CatalogSettings, Model, Offer, PriceVersion, Provider
from catalog.prices import Price


def document() -> dict[str, object]:
    row, _ = CatalogSettings.objects.get_or_create(pk=1)
    now = prices.database_now()
    versions = {
        version.model_id: version
        for version in PriceVersion.objects.filter(
            status=PriceVersion.Status.APPROVED, effective_from__lte=now
        )
        .exclude(effective_to__lte=now)
        .prefetch_related("components")
    }
    models = Model.objects.select_related("provider").prefetch_related("offers__provider")
    return {
        "markup": units.written(row.markup),
        "defaults": {
            "rpm": row.default_rpm,
            "tpm": row.default_tpm,
            "concurrent": row.default_concurrent,
        },
        "providers": [_provider(each) for each in Provider.objects.all()],
        "models": [_model(each, versions.get(each.pk)) for each in models],
        "groups": [store.plain(each) for each in store.of_platform()],
    }


def _provider(row: Provider) -> dict[str, object]:
    return {
        "name": row.name,
        "display_name": row.display_name,
        "protocol": row.protocol,
        "base_url": row.base_url,
        **({"api_key": "keep"} if row.needs_key or row.keys.exists() else {}),
        "enabled": row.enabled,
        "description": row.description,
        "website": row.website,
        "is_fundamental": row.is_fundamental,
        "auth": row.auth,
        "query": row.query,
        "headers": row.headers,
        "limits": {"rpm": row.rpm, "tpm": row.tpm, "concurrent": row.concurrent},
        "on_disconnect": row.on_disconnect,
        "timeouts": {
            "connect": row.connect_timeout_s,
            "first_byte": row.first_byte_timeout_s,
            "first_byte_with_alternative": row.first_byte_with_alternative_timeout_s,
            "idle": row.idle_timeout_s,
            "total": row.total_timeout_s,
        },
    }


def _model(row: Model, version: PriceVersion | None) -> dict[str, object]:
    found: dict[str, object] = {
        "id": row.catalog_id,
        "type": row.type,
        "display_name": row.display_name,
        "context_length": row.context_length,
        "max_output_tokens": row.max_output_tokens,
        "capabilities": row.capabilities,
        "input_modalities": row.input_modalities,
        "output_modalities": row.output_modalities,
        "priority": row.priority,
        "enabled": row.enabled,
        "offers": [_offer(offer) for offer in row.offers.all()],
    }
    return found | (_prices(version) if version is not None else {})


def _offer(offer: Offer) -> dict[str, object]:
    return {
        "provider": offer.provider.name,
        "upstream_model": offer.upstream_model,
        "priority": offer.priority,
        "weight": offer.weight,
        "enabled": offer.enabled,
        **({"costs": offer.costs} if offer.costs else {}),
    }


def _prices(version: PriceVersion) -> dict[str, object]:
    base: dict[str, Price] = {}
    tiers: defaultdict[int, dict[str, Price]] = defaultdict(dict)
    variants: defaultdict[str, dict[str, Price]] = defaultdict(dict)
    sheet = prices.sheet_of(version)
    for place in sorted(sheet, key=lambda place: units.UNITS.index(place.unit)):
        if place.variant:
            variants[place.variant][place.unit] = sheet[place]
        elif place.tier_start:
            tiers[place.tier_start][place.unit] = sheet[place]
        else:
            base[place.unit] = sheet[place]
    return {
        "prices": _sells(base),
        "costs": _costs(base),
        "tiers": [
            {"above_input_tokens": start, "prices": _sells(tier), "costs": _costs(tier)}
            for start, tier in sorted(tiers.items())
        ],
        "variants": {name: _sells(lines) for name, lines in sorted(variants.items())},
    }


def _sells(lines: dict[str, Price]) -> dict[str, str]:
    return {unit: units.written(price.sell) for unit, price in lines.items()}


def _costs(lines: dict[str, Price]) -> dict[str, str]:
    return {unit: units.written(price.cost) for unit, price in lines.items()}
