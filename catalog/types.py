"""What can be called, where, at what price: the frozen values that other apps see.

A `Snapshot` is the whole catalog as one immutable value. A request keeps the one it began with, so
that a change of prices or offers never meets a request half way.
"""

from types import MappingProxyType
from typing import Literal

import msgspec

ModelType = Literal["chat", "image", "audio", "embedding"]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one upstream call, in seconds."""

    connect: float = 3.0
    first_byte: float = 60.0  # to the first content
    first_byte_with_alternative: float = 12.0  # the same while another candidate is left
    idle: float = 30.0  # between two frames
    total: float = 900.0


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A place that answers models. `api_keys` are decrypted: never log or send this value."""

    id: int
    name: str
    display_name: str
    protocol: str  # name of a codec in gateway.protocols
    base_url: str  # without a trailing slash, the version part included
    api_keys: tuple[str, ...] = ()
    # bearer | x-api-key | x-goog-api-key | api-key | query:NAME | none; "": the protocol's own
    auth: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    timeouts: Timeouts = Timeouts()
    is_fundamental: bool = False
    description: str = ""
    website: str = ""

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.protocol!r}, {self.base_url!r})"


class Rate(msgspec.Struct, frozen=True):
    """`pico` pico-dollars (1e-12 USD) per `per` units; exact for every price with 12 decimals."""

    pico: int
    per: int = 1_000_000


class Tier(msgspec.Struct, frozen=True):
    """The whole request at these rates once its input is above so many tokens."""

    above_input_tokens: int
    rates: MappingProxyType[str, Rate]


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The sell prices of a model from one instant on. Never edited: a new price is a new version.

    `rates` has a rate per bucket: input, output, cache_read, cache_write, cache_write_1h,
    reasoning, input_audio, output_audio, input_image, output_image (per million tokens), image,
    request, web_search, audio_seconds (each), input_characters (per million).
    """

    id: int
    model: str
    rates: MappingProxyType[str, Rate]
    tiers: tuple[Tier, ...] = ()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider."""

    id: int
    model: str
    provider: Provider
    upstream_model: str
    priority: int = 0
    weight: int = 1


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the catalog; `id` is what customers ask for (`openai/gpt-4o-mini`)."""

    id: str
    provider: str
    type: ModelType
    display_name: str
    created: int  # epoch seconds
    context_length: int  # tokens; 0: unknown
    max_output_tokens: int  # tokens; 0: unknown
    capabilities: frozenset[str]
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    priority: int
    price: PriceVersion | None
    offers: tuple[Offer, ...]  # enabled ones, in the order in which they are tried

    @property
    def name(self) -> str:
        """The id without its provider."""
        return self.id.partition("/")[2]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a provider in the last hour; None where nothing was."""

    status: Literal["operational", "degraded", "down"] = "operational"
    success_rate: float | None = None  # 0 to 1
    latency_ms_p50: int | None = None
    latency_ms_p95: int | None = None
    time_to_first_token_ms: int | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, as `kind name` (`price openai/gpt-4o-mini`)."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    not_configured: tuple[str, ...] = ()  # providers that wait for a key or an address

    def summary(self) -> str:
        """One line for each thing that changed, and a closing line with the counts."""
        lines = [f"created {name}" for name in self.created]
        lines += [f"updated {name}" for name in self.updated]
        lines.append(
            f"{len(self.created)} created, {len(self.updated)} updated,"
            f" {len(self.unchanged)} unchanged"
        )
        return "\n".join(lines)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The catalog at one revision: enabled providers and models only."""

    revision: int
    models: MappingProxyType[str, Model]
    providers: MappingProxyType[str, Provider]
    bare_names: MappingProxyType[str, str]  # "gpt-4o-mini" → the catalog id that it means
