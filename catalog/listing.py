"""The catalog as customers see it: one shape of a model for every client, filtered, sorted, paged.

The shape is a superset of what OpenAI's, Anthropic's and our own clients read. Plain functions on
the snapshot; no HTTP.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from accounts.types import Caller
from catalog.types import Health, Model, ModelType, PriceVersion, Provider, Rate, Snapshot
from catalog.units import EACH, MODEL_TYPES, unit_of, variant_name, written
from ccapi.core.errors import InvalidParameter

SORTS = ("id", "created", "price", "context_length")
ORDERS = ("asc", "desc")
LIMIT_MAX = 1000
OFFSET_MAX = 2**31 - 1
# Flags of a model's capabilities that are always told, true or false.
FLAGS = ("streaming", "function_calling", "vision", "json_mode", "reasoning")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is asked for. `types` empty: every type."""

    provider: str = ""
    type: str = ""
    sort: str = "id"
    order: str = "asc"
    limit: int | None = None
    offset: int = 0


def parse(parameters: Mapping[str, str]) -> Query:
    """The query string's fields; unknown ones are ignored, empty ones are as good as none.

    Raises: InvalidParameter naming what is allowed.
    """
    given = {name: value for name, value in parameters.items() if value}
    limit = _count(given, "limit", least=1, most=LIMIT_MAX) if "limit" in given else None
    return Query(
        provider=given.get("provider", ""),
        type=_choice(given, "type", MODEL_TYPES, ""),
        sort=_choice(given, "sort", SORTS, "id"),
        order=_choice(given, "order", ORDERS, "asc"),
        limit=limit,
        offset=_count(given, "offset", least=0, most=OFFSET_MAX) if "offset" in given else 0,
    )


def _choice(given: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(name, default)
    if value != default and value not in allowed:
        raise InvalidParameter(
            f"{name} must be one of {', '.join(allowed)}, not {value[:64]!r}.",
            param=name,
            details={"allowed": list(allowed)},
        )
    return value


def _count(given: Mapping[str, str], name: str, *, least: int, most: int) -> int:
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise InvalidParameter(
            f"{name} must be a whole number from {least} to {most}, not {text[:64]!r}.", param=name
        )
    return int(text)


def model_list(snapshot: Snapshot, query: Query, caller: Caller) -> dict[str, object]:
    """The page that the query asks for, of the models that the caller may call.

    Raises: InvalidParameter for a provider that there is not.
    """
    names = sorted({model.provider for model in snapshot.models.values()})
    if query.provider and query.provider not in names:
        raise InvalidParameter(
            f"provider must be one of {', '.join(names)}, not {query.provider[:64]!r}.",
            param="provider",
            details={"allowed": names},
        )
    found = [
        model
        for model in snapshot.models.values()
        if caller.may_call(model.id)
        and (not query.provider or model.provider == query.provider)
        and (not query.type or model.type == query.type)
    ]
    ordered = _sorted(found, query)
    end = None if query.limit is None else query.offset + query.limit
    page = ordered[query.offset : end]
    return {
        "object": "list",
        "data": [model_summary(snapshot, model) for model in page],
        "total": len(ordered),
        "limit": query.limit,
        "offset": query.offset,
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": query.offset + len(page) < len(ordered),
    }


def _sorted(models: Iterable[Model], query: Query) -> list[Model]:
    """By the field asked for, then by id; what has no such value comes last either way."""
    by_id = sorted(models, key=lambda model: model.id, reverse=query.order == "desc")
    if query.sort == "id":
        return by_id
    by_id.sort(key=lambda model: model.id)
    known = [model for model in by_id if _sort_value(model, query.sort) is not None]
    unknown = [model for model in by_id if _sort_value(model, query.sort) is None]
    known.sort(key=lambda model: _sort_value(model, query.sort) or 0, reverse=query.order == "desc")
    return known + unknown


def _sort_value(model: Model, sort: str) -> Decimal | int | None:
    match sort:
        case "created":
            return model.created
        case "context_length":
            return model.context_length or None
    if model.price is None:
        return None
    # Input and output of the same count: the usual single figure of what a model costs.
    rates = [model.price.rates[unit] for unit in ("input", "output") if unit in model.price.rates]
    return sum((_per_unit(rate) for rate in rates), Decimal(0)) if rates else None


def _per_unit(rate: Rate) -> Decimal:
    return Decimal(rate.pico) / rate.per


def model_summary(snapshot: Snapshot, model: Model) -> dict[str, object]:
    provider = snapshot.providers.get(model.provider) or model.offers[0].provider
    return {
        "id": model.id,
        "object": "model",
        "type": "model",
        "created": model.created,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "owned_by": model.provider,
        "display_name": model.display_name,
        "provider": {
            "name": provider.name,
            "display_name": provider.display_name,
            "is_fundamental": provider.is_fundamental,
        },
        "ccapi": {
            "display_name": model.display_name,
            "type": model.type,
            "input_modalities": list(model.input_modalities),
            "output_modalities": list(model.output_modalities),
            "capabilities": _capabilities(model),
            "pricing": pricing(model.price),
        },
    }


def _capabilities(model: Model) -> dict[str, object]:
    return {
        "context_length": model.context_length or None,
        "max_output_tokens": model.max_output_tokens or None,
        **{flag: flag in model.capabilities for flag in FLAGS},
        **dict.fromkeys(sorted(model.capabilities - set(FLAGS)), True),
    }


def pricing(price: PriceVersion | None) -> dict[str, object] | None:
    """Dollar strings. `unit` says what most are for; prices each and by characters stay theirs."""
    if price is None:
        return None
    found: dict[str, object] = {"currency": "USD", "unit": unit_of(price.rates)}
    found |= _dollars(price.rates)
    if price.tiers:
        found["tiers"] = [
            {"above_input_tokens": tier.above_input_tokens, **_dollars(tier.rates)}
            for tier in price.tiers
        ]
    if price.variants:
        found["variants"] = {
            variant_name(dict(each.fields)): _dollars(each.rates) for each in price.variants
        }
    return found


def _dollars(rates: Mapping[str, Rate]) -> dict[str, str]:
    return {unit: _dollar(unit, rate) for unit, rate in rates.items()}


def _dollar(unit: str, rate: Rate) -> str:
    """The price for the number of units that customers are told prices for; exact."""
    for_each = 1 if unit in EACH else 1_000_000
    return written(Decimal(rate.pico) * for_each / rate.per / 10**12)


def provider_list(
    snapshot: Snapshot, caller: Caller, health: Mapping[str, Health]
) -> dict[str, object]:
    data = [
        provider_summary(snapshot, provider, caller, health[name])
        for name, provider in sorted(snapshot.providers.items())
    ]
    return {"object": "list", "data": data, "total": len(data)}


def provider_summary(
    snapshot: Snapshot, provider: Provider, caller: Caller, health: Health
) -> dict[str, object]:
    models = models_of(snapshot, provider, caller)
    types: set[ModelType] = {model.type for model in models}
    return {
        "name": provider.name,
        "object": "provider",
        "display_name": provider.display_name,
        "is_fundamental": provider.is_fundamental,
        "description": provider.description,
        "website": provider.website,
        "types": sorted(types),
        "model_count": len(models),
        "status": health.status,
    }


def provider_detail(
    snapshot: Snapshot, provider: Provider, caller: Caller, health: Health
) -> dict[str, object]:
    """The summary with its models and what the last hour measured; null where nothing was."""
    return provider_summary(snapshot, provider, caller, health) | {
        "models": [
            model_summary(snapshot, model) for model in models_of(snapshot, provider, caller)
        ],
        "success_rate": health.success_rate,
        "latency_ms": {"p50": health.latency_ms_p50, "p95": health.latency_ms_p95},
        "time_to_first_token_ms": health.time_to_first_token_ms,
    }


def models_of(snapshot: Snapshot, provider: Provider, caller: Caller) -> list[Model]:
    return sorted(
        (
            model
            for model in snapshot.models.values()
            if model.provider == provider.name and caller.may_call(model.id)
        ),
        key=lambda model: model.id,
    )
