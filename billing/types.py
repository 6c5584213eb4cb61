"""What it costs and whether it may happen.

The values that other apps see. Amounts are nano-dollars.
"""

from enum import IntEnum
from typing import Any
from uuid import UUID

import msgspec

from accounts.types import Caller
from catalog.types import PriceVersion
from ccapi.core.usage import Usage


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one candidate can cost: its price and upper bounds of what it may use.

    The tokens that pictures are made of (where a price goes by them) are not in `output_tokens`:
    they follow from `images` and `variant`, by what the vendor publishes.
    """

    price: PriceVersion
    input_tokens: int  # tokens; bytes of the body bound them
    output_tokens: int  # tokens, over all choices (`max_tokens` times `n`)
    web_searches: int = 0
    images: int = 0  # pictures asked for
    characters: int = 0  # to be spoken, Unicode code points
    variant: tuple[str, str] = ("", "")  # size and quality as asked; "" and "auto": not known


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A request that wants to happen. The hold covers the dearest of `bounds`.

    `output_is_stated`: the client named its own `max_tokens`; where it did not, a wallet that
    affords less than the model's maximum gets a smaller hold, and the walk sends
    `Hold.max_tokens_applied` upstream. `choices` is how many answers the request asks for (`n`):
    the applied maximum is per answer.

    `expires_s` is for `place_hold` alone: how long a job's hold stands without anybody who keeps it
    alive. None: as long as a request's, which its process keeps alive.
    """

    request_id: UUID
    caller: Caller
    endpoint: str
    bounds: tuple[Bound, ...]
    output_is_stated: bool
    choices: int = 1
    expires_s: float | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Money set aside. Resolved exactly once, by one `Settlement`."""

    request_id: UUID
    organization_id: int
    key_id: int
    amount: int
    price_version: int
    max_tokens_applied: int | None = None


class Outcome(IntEnum):
    """How a hold was resolved."""

    CAPTURED = 1  # the provider's own final usage
    VOIDED = 2  # nothing is owed
    EXPIRED = 3  # nobody alive to resolve it: the sweeper voided it
    ESTIMATED = 4  # usage was missing and has been counted
    PARTIAL = 5  # the answer broke off, or the client left


class UsageSource(IntEnum):
    """Where the counts come from."""

    PROVIDER = 1
    PROVIDER_PARTIAL = 2
    TOKENIZER = 3
    HEURISTIC = 4
    NONE = 5
    REQUEST = 6  # counted of what was asked, exactly: characters


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call of a request. Failed attempts cost nothing."""

    model: str
    provider: str
    status: int  # HTTP status, or 0 where there was none
    latency_ms: int
    error: str = ""  # code of ccapi.core.errors, "" for success


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer pays. `cost = input_cost + output_cost`, already limited to the hold."""

    cost: int  # captured
    input_cost: int
    output_cost: int
    overage: int = 0  # what the hold did not cover: ours
    unpriced: tuple[str, ...] = ()  # used buckets without a price of their own or a fallback


# How a request ended, as its receipt says: `Settlement.status`, and what the sweeper writes.
STATUSES = (
    *("ok", "client_cancelled", "upstream_error", "timeout", "rejected", "internal_error"),
    *("expired", "server_shutdown"),
)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the receipt of one request says. Written once, never edited."""

    hold: Hold
    outcome: Outcome
    usage: Usage
    usage_source: UsageSource
    price: PriceVersion  # of the candidate that served (or was tried last)
    charge: Charge | None = None  # what the client was told, where it was; else worked out here
    requested_model: str
    model: str  # catalog id that served
    provider: str
    protocol: str  # the client's
    endpoint: str
    stream: bool
    status: str  # one of STATUSES
    http_status: int
    error_code: str = ""
    finish_reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    first_byte_ms: int | None = None
    latency_ms: int = 0
    bytes_out: int = 0
    end_user: str = ""
    provider_request_id: str = ""
    variant: tuple[str, str] = ("", "")  # size and quality of the pictures, as they were made


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet: `available = posted - held`."""

    posted: int
    held: int

    @property
    def available(self) -> int:
        return self.posted - self.held


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant's verdict: how many rows break it."""

    name: str
    broken: int
    sample: tuple[Any, ...] = ()
