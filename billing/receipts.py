"""The receipt of one request, as its organization sees it, and how long to wait for one still open.

A settlement is written just after the last byte went out, perhaps by another process; readers
wait up to half a second for it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from billing import ledger
from billing.credits import balance
from billing.models.receipts import QUANTITIES
from billing.pricing import FEES, MADE, UNKNOWN, share
from billing.types import Balance, Outcome, UsageSource
from catalog.api import PER, unit_of
from ccapi.core import ids
from ccapi.core.money import dollar_number
from ccapi.core.usage import INPUT_SIDE, OUTPUT_SIDE

Param = int | str | UUID | datetime

WAIT_S = 0.5
POLL_S = 0.01
# So young a request may be about to be settled without its hold (forgotten in a crash).
YOUNG_S = 5.0

RATES = FEES | MADE  # what is no token: bucket → name of its rate
FIELDS = ", ".join(
    f"e.{name}"
    for name in (
        *("request_id", *QUANTITIES),
        *("model", "provider", "protocol", "endpoint", "stream", "status", "http_status"),
        *("finish_reason", "error_code", "attempts", "input_tokens", "output_tokens", "usage_raw"),
        *("price_snapshot", "price_version_id", "input_cost_nano", "output_cost_nano"),
        *("cost_nano", "usage_source", "first_byte_ms", "latency_ms", "requested_model"),
        *("provider_request_id", "end_user", "outcome"),
    )
)
# What `render` needs, of events that `{events}` finds.
RECEIPTS = f"""
    SELECT {FIELDS},
           (SELECT public_id FROM api_key k WHERE k.id = e.key_id) AS key,
           t.amount_nano AS late_nano, t.meta AS late
    FROM ({{events}}) e
    LEFT JOIN ledger_transfer t ON t.ref_type = 2 AND t.ref_id = e.request_id::text
    ORDER BY e.request_id DESC"""  # noqa: S608 — constants
RECEIPT = RECEIPTS.format(
    events="SELECT * FROM usage_event WHERE request_id = %s AND organization_id = %s"
)
OPEN = "SELECT 1 FROM hold WHERE request_id = %s AND organization_id = %s"


def receipt(organization_id: int, request_id: UUID) -> dict[str, Any] | None:
    """What the request used and cost; None for one that is unknown, another's, or still running."""
    for _ in _patience():
        for row in rows(RECEIPT, [request_id, organization_id]):
            return render(row)
        young = time.time() - (request_id.int >> 80) / 1000 < YOUNG_S
        if not young and not rows(OPEN, [request_id, organization_id]):
            return None
    return None


def settled_balance(organization_id: int) -> Balance:
    """The balance once the settlements that are under way are in it."""
    wallet = balance(organization_id)
    for _ in _patience():
        if not wallet.held and not ledger.is_open(organization_id):
            break
        wallet = balance(organization_id)
    return wallet


def _patience() -> Iterator[None]:
    """Turns until half a second has passed; the first comes at once."""
    deadline = time.monotonic() + WAIT_S
    yield
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        yield


def rows(query: str, params: Sequence[Param]) -> list[dict[str, Any]]:
    """The rows by column."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def render(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `RECEIPTS` as its organization sees it."""
    request_id: UUID = row["request_id"]
    attempts, snapshot, raw, late = (
        json.loads(row[name]) if row[name] else None
        for name in ("attempts", "price_snapshot", "usage_raw", "late")
    )
    if late:
        _add_late(row, late)
        snapshot = late["price_snapshot"]
    return {
        "id": ids.generation_id(request_id),
        "object": "generation",
        "created": (request_id.int >> 80) // 1000,
        "model": row["model"],
        "requested_model": row["requested_model"],
        "provider": row["provider"],
        "provider_request_id": row["provider_request_id"],
        "protocol": row["protocol"],
        "endpoint": row["endpoint"],
        "stream": row["stream"],
        "status": row["status"],
        "outcome": Outcome(row["outcome"]).name.lower(),
        "http_status": row["http_status"],
        "error_code": row["error_code"] or None,
        "finish_reason": row["finish_reason"] or None,
        "attempts": [_attempt(attempt, row["cost_nano"]) for attempt in attempts or ()],
        "usage": _usage(row, snapshot or {}, raw),
        "prices": _prices(snapshot or {}),
        "price_version": row["price_version_id"],
        "input_cost": dollar_number(row["input_cost_nano"]),
        "output_cost": dollar_number(row["output_cost_nano"]),
        "cost": dollar_number(row["cost_nano"]),
        "usage_source": UsageSource(row["usage_source"]).name.lower(),
        "first_byte_ms": row["first_byte_ms"],
        "latency_ms": row["latency_ms"],
        "user": row["end_user"] or None,
        "key": row["key"],
        "request_id": ids.request_id(request_id),
    }


def _add_late(row: dict[str, Any], late: dict[str, Any]) -> None:
    """What became known after the hold had expired, and was charged as far as money was left."""
    row.update({name: late[name] for name in (*INPUT_SIDE, *OUTPUT_SIDE)})
    # A line of before these were counted has none.
    row.update({name: late.get(name) or 0 for name in ("images", "characters")})
    row["input_tokens"] = sum(row[name] for name in INPUT_SIDE)
    row["output_tokens"] = sum(row[name] for name in OUTPUT_SIDE)
    row["cost_nano"] = cost = row["late_nano"]
    row["input_cost_nano"] = share(cost, late["input_cost_nano"], late["cost_nano"])
    row["output_cost_nano"] = cost - row["input_cost_nano"]


def _attempt(attempt: dict[str, Any], cost: int) -> dict[str, Any]:
    """Failed attempts cost nothing; the one that served costs what the request costs."""
    failed = attempt["error"] or not 200 <= attempt["status"] < 300
    return {**attempt, "cost": "0" if failed else dollar_number(cost)}


def _usage(row: dict[str, Any], snapshot: dict[str, Any], raw: Any) -> dict[str, Any]:  # noqa: ANN401 — a vendor's JSON
    usage: dict[str, Any] = {
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "total_tokens": row["input_tokens"] + row["output_tokens"],
        "images": row["images"],
        "characters": row["characters"],
        "buckets": {name: row[name] for name in QUANTITIES if row[name]},
    }
    size, quality = snapshot.get("variant", UNKNOWN)
    told = {"image_size": size, "image_quality": quality, "raw": raw}
    return usage | {name: value for name, value in told.items() if value not in (None, "")}


def _prices(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Dollars by bucket, for as many as the catalog prices it; another divisor is named.

    `unit` says what most of them are for: tokens and characters by the million, all else each.
    """
    rates = {RATES.get(name, name): rate for name, rate in snapshot.get("rates", {}).items()}
    prices: dict[str, Any] = {"currency": "USD", "unit": unit_of(rates)}
    if snapshot.get("tier"):
        prices["above_input_tokens"] = snapshot["tier"]
    for unit, (pico, per) in rates.items():
        text = f"{Decimal(pico).scaleb(-12):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        prices[unit] = text if per == PER[unit] else {"price": text, "per": per}
    return prices
