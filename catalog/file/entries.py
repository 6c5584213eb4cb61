"""The catalog file as frozen values."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from catalog.file.reading import Path, Source

KEEP: Literal["keep"] = "keep"


class ProviderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. `columns` are the table's own; `api_keys` what to store, KEEP what is there."""

    path: Path
    name: str
    columns: dict[str, object]
    api_keys: tuple[str, ...] | Literal["keep"]
    key_variables: tuple[str, ...] = ()  # environment variables the keys were to come from


class PriceLine(msgspec.Struct, frozen=True):
    """One price; `variant` is its written name or "". No `cost`: the price over the markup."""

    unit: str
    tier_start: int
    variant: str
    sell: Decimal
    cost: Decimal | None


class OfferEntry(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    provider: str
    upstream_model: str
    priority: int = 0
    weight: int = 1
    enabled: bool = True
    costs: dict[str, str] = {}


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model. No `prices`: those that stand stay."""

    path: Path
    id: str
    columns: dict[str, object]
    offers: tuple[OfferEntry, ...]
    prices: tuple[PriceLine, ...]
    effective_from: datetime | None

    @property
    def provider(self) -> str:
        return self.id.partition("/")[0]


class AliasEntry(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    pattern: str
    targets: tuple[str, ...]  # catalog ids


class GroupEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One group. `columns` are the table's own; the aliases in their order."""

    path: Path
    name: str
    columns: dict[str, object]
    aliases: tuple[AliasEntry, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    source: Source
    providers: tuple[ProviderEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    markup: Decimal | None = None
    defaults: dict[str, int] | None = None
