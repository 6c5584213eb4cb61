"""One settlement as the line that `settle_batch_v2` reads and the spool keeps: JSON, by column."""

import json
from typing import Any
from uuid import UUID

import msgspec
import structlog

from billing import pricing
from billing.types import Attempt, Charge, Outcome, Settlement, UsageSource

log = structlog.get_logger(__name__)

RAW_BYTES_MAX = 8_192  # of the provider's own usage object
TEXT_MAX = 256  # characters of what others name
FREE = (Outcome.VOIDED, Outcome.EXPIRED)
NO_CHARGE = Charge(cost=0, input_cost=0, output_cost=0)


class Record(msgspec.Struct, kw_only=True):
    """The columns of `usage_event` that the caller knows."""

    request_id: UUID
    organization_id: int
    key_id: int
    end_user: str
    endpoint: str
    protocol: str
    requested_model: str
    model: str
    provider: str
    provider_request_id: str
    stream: bool
    attempts: tuple[Attempt, ...]
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    input_image: int
    output: int
    reasoning: int
    output_audio: int
    output_image: int
    requests: int
    web_searches: int
    images: int
    characters: int
    input_tokens: int
    output_tokens: int
    usage_source: UsageSource
    usage_raw: Any
    price_version_id: int
    price_snapshot: dict[str, Any]
    unpriced: tuple[str, ...]
    charge_nano: int
    cost_nano: int
    input_cost_nano: int
    status: str
    http_status: int
    error_code: str
    finish_reason: str
    outcome: Outcome
    first_byte_ms: int | None
    latency_ms: int
    bytes_out: int


_encode = msgspec.json.Encoder().encode


def encode(settlement: Settlement) -> bytes:
    """The line of a settlement, priced; one that is void or expired costs nothing."""
    hold, usage = settlement.hold, settlement.usage
    free = settlement.outcome in FREE
    if free:
        charge = NO_CHARGE
    else:
        charge = settlement.charge or pricing.charge(
            usage, settlement.price, hold.amount, settlement.variant
        )
    if charge.unpriced:
        log.error("settle.unpriced", request_id=str(hold.request_id), buckets=charge.unpriced)
    line = _encode(
        Record(
            request_id=hold.request_id,
            organization_id=hold.organization_id,
            key_id=hold.key_id,
            end_user=settlement.end_user[:TEXT_MAX],
            endpoint=settlement.endpoint,
            protocol=settlement.protocol,
            requested_model=settlement.requested_model[:TEXT_MAX],
            model=settlement.model[:TEXT_MAX],
            provider=settlement.provider,
            provider_request_id=settlement.provider_request_id[:TEXT_MAX],
            stream=settlement.stream,
            attempts=settlement.attempts,
            input=usage.input,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            cache_write_1h=usage.cache_write_1h,
            input_audio=usage.input_audio,
            input_image=usage.input_image,
            output=usage.output,
            reasoning=usage.reasoning,
            output_audio=usage.output_audio,
            output_image=usage.output_image,
            requests=usage.requests,
            web_searches=usage.web_searches,
            images=usage.images,
            characters=usage.characters,
            input_tokens=usage.input_total,
            output_tokens=usage.output_total,
            usage_source=settlement.usage_source,
            usage_raw=_raw(usage.raw),
            price_version_id=settlement.price.id,
            price_snapshot=pricing.snapshot(usage, settlement.price, settlement.variant),
            unpriced=charge.unpriced,
            charge_nano=charge.cost + charge.overage,
            cost_nano=charge.cost,
            input_cost_nano=charge.input_cost,
            status=settlement.status,
            http_status=settlement.http_status,
            error_code=settlement.error_code,
            finish_reason=settlement.finish_reason[:TEXT_MAX],
            outcome=settlement.outcome,
            first_byte_ms=settlement.first_byte_ms,
            latency_ms=settlement.latency_ms,
            bytes_out=settlement.bytes_out,
        )
    )
    # PostgreSQL's text has no NUL. A client or a provider may send one; the receipt shows a mark.
    return line.replace(b"\\u0000", b"\\ufffd") if b"\\u0000" in line else line


def _raw(raw: msgspec.Raw) -> msgspec.Raw | dict[str, int] | None:
    size = len(memoryview(raw))
    if not size:
        return None
    return raw if size <= RAW_BYTES_MAX else {"omitted_bytes": size}


# What was written before is read with the standard library: it takes half a surrogate pair, which a
# provider may send and neither msgspec nor PostgreSQL accepts.


def lighten(line: bytes) -> bytes:
    """The same settlement without what others wrote freely: for one that PostgreSQL refused.

    Raises: ValueError if it is no line.
    """
    record = json.loads(line)
    record |= {"usage_raw": None, "attempts": []}
    record |= dict.fromkeys(("end_user", "finish_reason", "provider_request_id", "error_code"), "")
    record["requested_model"] = record["requested_model"].encode("ascii", "replace").decode()
    return json.dumps(record).encode()


def identity(line: bytes) -> tuple[UUID, int]:
    """Request and organization of a line. Raises: ValueError if it is none."""
    try:
        record = json.loads(line)
        return UUID(record["request_id"]), int(record["organization_id"])
    except (KeyError, TypeError) as error:
        raise ValueError("not a settlement") from error
