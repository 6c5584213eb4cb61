"""Rows of the catalog as the snapshot's statement sends them: JSON in, typed values out."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec
import structlog

from catalog.types import Alias, ModelType, Replace

log = structlog.get_logger(__name__)

Row = TypeVar("Row", bound=msgspec.Struct)
Broken = Callable[[dict[str, Any]], None]


class ProviderRow(msgspec.Struct):
    id: int
    name: str
    display_name: str
    description: str
    website: str
    is_fundamental: bool
    protocol: str
    base_url: str
    needs_key: bool
    auth: str
    query: dict[str, str]
    headers: dict[str, str]
    on_disconnect: Literal["cancel", "drain"]
    connect_timeout_s: float
    first_byte_timeout_s: float
    first_byte_with_alternative_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float
    rpm: int
    tpm: int
    concurrent: int


class KeyRow(msgspec.Struct):
    id: str
    provider_id: int
    ciphertext: str  # base64


class ModelRow(msgspec.Struct):
    id: int
    catalog_id: str
    type: ModelType
    display_name: str
    context_length: int
    max_output_tokens: int
    capabilities: list[str]
    input_modalities: list[str]
    output_modalities: list[str]
    priority: int
    created: int


class OfferRow(msgspec.Struct):
    id: int
    model_id: int
    provider_id: int
    upstream_model: str
    priority: int
    weight: int


class VersionRow(msgspec.Struct):
    id: int
    model_id: int


class GroupRow(msgspec.Struct):
    """One group with its aliases."""

    id: int
    organization_id: int | None
    name: str
    aliases: tuple[Alias, ...]
    balance: Literal["failover", "round_robin"]
    disabled: bool
    allow_catalog: bool
    inject: Literal["with_tools", "always"]
    tool_compat: Literal["auto", "compat", "native"]
    prompt_injection: Literal["off", "enhance", "replace"]
    prompt_text: str
    prompt_position: Literal["system", "user"]
    prompt_replace: tuple[Replace, ...]
    inject_for: tuple[str, ...]
    tool_filter: frozenset[str]
    temperature_ratio: float


class ActiveRow(msgspec.Struct):
    organization_id: int
    name: str


class ComponentRow(msgspec.Struct):
    price_version_id: int
    unit: str
    sell_price: Decimal  # sent as text
    per: int
    tier_start: int
    variant: dict[str, str] = {}

    @property
    def pico(self) -> int:
        """Raises: ValueError for what is no price."""
        pico = self.sell_price.scaleb(12)
        if pico != pico.to_integral_value() or pico < 0 or self.per <= 0:
            raise ValueError(f"{self.sell_price} per {self.per} is no price")
        return int(pico)


def decode(
    text: str,
    kind: type[Row],
    *,
    broken: Broken | None = None,
    check: Callable[[Row], object] | None = None,
) -> list[Row]:
    """The rows that are what they should be, and pass `check` (which raises ValueError).

    The others are logged, without their contents, and told to `broken`.
    """
    found = []
    for raw in msgspec.json.decode(text, type=list[msgspec.Raw]):
        try:
            row = msgspec.json.decode(raw, type=kind)
            if check is not None:
                check(row)
        except (msgspec.ValidationError, ValueError) as error:
            plain = msgspec.json.decode(raw, type=dict[str, Any])
            which = {name: plain[name] for name in NAMES if name in plain}
            log.error("catalog.row_broken", kind=kind.__name__, row=which, reason=str(error))  # noqa: TRY400
            if broken is not None:
                broken(plain)
        else:
            found.append(row)
    return found


NAMES = ("id", "name", "catalog_id", "price_version_id", "unit")  # what a log may tell of a row
