"""The organization's requests, newest first: filtered, page by page, as JSON's items or as CSV.

A page follows the one before by the last request's id (a UUIDv7: time, then randomness), so it
costs the same at any depth, nothing is told twice, and a month's partition that cannot hold an
answer is not read. CSV is such pages, one after the other: while a slow client reads, no connection
and no transaction waits for it, and memory holds one page.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from asgiref.sync import sync_to_async
from django.db import connection

from billing import receipts
from ccapi.core import sheets
from ccapi.core.errors import InvalidParameter
from ccapi.core.sheets import Cell

CSV_PAGE = 1_000  # rows in memory at a time
# A sheet does not show the provider's own words, which may be 8 kB a request.
LEAN = receipts.RECEIPTS.replace("e.usage_raw", "NULL AS usage_raw")
COLUMNS = (
    *("id", "created", "model", "requested_model", "provider", "protocol", "endpoint", "stream"),
    *("status", "outcome", "http_status", "error_code", "finish_reason", "attempts"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "images", "characters"),
    *("input_cost", "output_cost", "cost", "usage_source", "price_version"),
    *("first_byte_ms", "latency_ms", "user", "key", "request_id"),
)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Whose requests, and which: `since` <= created < `until`; `key_id` is a primary key."""

    organization_id: int
    key_id: int | None = None
    model: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None  # the last one of the page before


def page(query: Query, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """At most `limit` receipts, and the cursor of the page that follows, if there is one."""
    found = _rows(query, limit + 1)
    more = len(found) > limit
    cursor = to_cursor(found[limit - 1]["request_id"]) if more else None
    return [receipts.render(row) for row in found[:limit]], cursor


async def csv(query: Query, limit: int | None) -> AsyncIterator[bytes]:
    """All that the query finds (or the first `limit`), with a line of names."""
    head = sheets.lines([COLUMNS])
    while True:
        count = CSV_PAGE if limit is None else min(CSV_PAGE, limit)
        content, last = await sync_to_async(_csv_page)(query, count)
        yield head + content
        head = b""
        limit = None if limit is None else limit - count
        if last is None or limit == 0:
            return
        query = msgspec.structs.replace(query, before=last)


def _csv_page(query: Query, count: int) -> tuple[bytes, UUID | None]:
    """Lines, and the request to go on after; None at the end."""
    found = _rows(query, count, LEAN)
    content = sheets.lines(_cells(receipts.render(row)) for row in found)
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, until the client has read this page
    return content, found[-1]["request_id"] if len(found) == count else None


def _cells(receipt: dict[str, Any]) -> Iterator[Cell]:
    usage = receipt["usage"]
    buckets = usage["buckets"]
    flat = {
        **receipt,
        "created": f"{datetime.fromtimestamp(receipt['created'], UTC):%Y-%m-%dT%H:%M:%SZ}",
        "attempts": len(receipt["attempts"]),
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cache_read_tokens": buckets.get("cache_read", 0),
        "cache_write_tokens": buckets.get("cache_write", 0) + buckets.get("cache_write_1h", 0),
        "reasoning_tokens": buckets.get("reasoning", 0),
        "images": usage["images"],
        "characters": usage["characters"],
    }
    return (flat[name] for name in COLUMNS)


def _rows(query: Query, limit: int, sql: str = receipts.RECEIPTS) -> list[dict[str, Any]]:
    conditions = ["organization_id = %s"]
    params: list[receipts.Param] = [query.organization_id]
    for condition, value in (
        ("key_id = %s", query.key_id),
        ("model = %s", query.model),
        ("status = %s", query.status),
        ("request_id >= uuid7_floor(%s)", query.since),
        ("request_id < uuid7_floor(%s)", query.until),
        ("request_id < %s", query.before),
    ):
        if value is not None:
            conditions.append(condition)
            params.append(value)
    events = (
        f"SELECT * FROM usage_event WHERE {' AND '.join(conditions)}"  # noqa: S608 — constants
        " ORDER BY request_id DESC LIMIT %s"
    )
    return receipts.rows(sql.format(events=events), [*params, limit])


def to_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def from_cursor(text: str) -> UUID:
    """Raises: InvalidParameter."""
    try:
        found = base64.b64decode(text + "==", altchars=b"-_", validate=True)
        if len(found) == 16 and len(text) == 22:
            return UUID(bytes=found)
    except (ValueError, binascii.Error):
        pass  # told below
    raise InvalidParameter(
        "cursor: this is none of ours. Send the next_cursor of the page before.", param="cursor"
    )
