"""What can be called, where, at what price: the frozen values that other apps see.

A `Snapshot` is the whole catalog as one immutable value. A request keeps the one it began with, so
that a change of prices or offers never meets a request half way.
"""

from types import MappingProxyType
from typing import Literal

import msgspec

from ccapi.core.limits import UNLIMITED, Limits

ModelType = Literal["chat", "image", "audio", "embedding"]

# The providers that fail on request: one server, one provider for each protocol that it speaks.
# One server behind several providers, one for each protocol that it speaks: where below its root.
SANDBOXES = {
    "sandbox": "/v1",
    "sandbox-responses": "/v1",
    "sandbox-anthropic": "/v1",
    "sandbox-gemini": "/v1beta",
    "sandbox-ollama": "",
    "sandbox-async": "/v1",
}


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
    # bearer | x-api-key | x-goog-api-key | xi-api-key | api-key | query:NAME | none
    # "": the protocol's own
    auth: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    timeouts: Timeouts = Timeouts()
    limits: Limits = UNLIMITED  # what the provider grants us, over all our processes
    is_fundamental: bool = False
    description: str = ""
    website: str = ""

    @property
    def is_sandbox(self) -> bool:
        """Whether it fails because customers want it to: that is no news of its health."""
        return self.name in SANDBOXES

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


class Variant(msgspec.Struct, frozen=True):
    """What differs for one service tier, or for one size (and quality) of a picture."""

    fields: MappingProxyType[str, str]  # service_tier; or size, or size and quality
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
    variants: tuple[Variant, ...] = ()


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


Status = Literal["operational", "degraded", "down"]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a provider in the last hour; None where nothing was."""

    status: Status = "operational"
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


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of names that clients ask for, and the catalog ids that it means, in order."""

    pattern: str
    targets: tuple[str, ...]


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    value: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Aliases under one segment of a path, and what is done to requests that go through them."""

    id: int
    name: str
    organization_id: int | None = None  # None: the platform's
    aliases: tuple[Alias, ...] = ()  # the first whose pattern matches counts
    balance: Literal["failover", "round_robin"] = "failover"
    disabled: bool = False
    allow_catalog: bool = False  # whether catalog ids work under this prefix too
    inject: Literal["with_tools", "always"] = "with_tools"  # requests that the prompt is for
    tool_compat: Literal["auto", "compat", "native"] = "auto"  # auto: the path decides
    prompt_injection: Literal["off", "enhance", "replace"] = "off"
    prompt_text: str = ""
    prompt_position: Literal["system", "user"] = "system"
    prompt_replace: tuple[Replace, ...] = ()
    inject_for: tuple[str, ...] = ()  # patterns of aliases that the prompt is for; empty: all
    tool_filter: frozenset[str] = frozenset()
    temperature_ratio: float = 1.0


PLATFORM = 0  # whose groups are the platform's, where organizations are keys
DEFAULT_GROUP = "default"  # of paths without a prefix, and active until another is


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The catalog at one revision: enabled providers and models only."""

    revision: int
    models: MappingProxyType[str, Model]
    providers: MappingProxyType[str, Provider]
    bare_names: MappingProxyType[str, str]  # "gpt-4o-mini" → the catalog id that it means
    groups: MappingProxyType[tuple[int, str], Group] = MappingProxyType({})  # (whose, name)
    active_groups: MappingProxyType[int, str] = MappingProxyType({})  # by organization

    def group(self, organization_id: int, name: str) -> Group | None:
        """The group that this organization means: its own, else the platform's."""
        own = self.groups.get((organization_id, name))
        return own if own is not None else self.groups.get((PLATFORM, name))

    def groups_of(self, organization_id: int) -> list[Group]:
        """Every group that this organization can mean, by name."""
        seen = {
            name: group
            for owner in (PLATFORM, organization_id)
            for (whose, name), group in self.groups.items()
            if whose == owner
        }
        return [seen[name] for name in sorted(seen)]

    def active_group(self, organization_id: int) -> str:
        return self.active_groups.get(organization_id, DEFAULT_GROUP)
