"""Usage events by the thousand, straight into their table: settling is tested elsewhere."""

from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from ccapi.core.ids import uuid7
from tests.billing.money import Bank

ADD = """
INSERT INTO usage_event (
    request_id, organization_id, key_id, endpoint, protocol, requested_model, model, provider,
    stream, attempts, input, cache_read, cache_write, cache_write_1h, output, reasoning,
    input_tokens, output_tokens, usage_source, usage_raw, price_version_id, price_snapshot,
    charge_nano, cost_nano, input_cost_nano, output_cost_nano, status, http_status, outcome,
    first_byte_ms, latency_ms, requests, end_user)
SELECT (lpad(to_hex(%(at_ms)s + i), 12, '0') || '7'
        || substr(md5(i::text || %(seed)s), 1, 3) || '8'
        || substr(md5(%(seed)s || i::text), 1, 15))::uuid,
    %(organization)s, %(key)s, 'chat', 'openai', %(model)s, %(model)s, %(provider)s, false,
    '[{"model": "acme/one", "provider": "acme", "status": 200, "latency_ms": 7, "error": ""}]',
    10, 4, 3, 2, 20, 5, 19, 25, 1, '{"prompt_tokens": 19}', %(price)s,
    '{"tier": 0, "rates": {"input": [1000000000000, 1000000], "output": [2000000000000, 1000000]}}',
    69000, 69000, 19000, 50000, %(status)s, 200, 1, 5, 100, 1, %(user)s
FROM generate_series(1, %(count)s) i
RETURNING request_id
"""


def add(
    bank: Bank,
    count: int = 1,
    *,
    at: datetime | None = None,
    key_id: int | None = None,
    model: str = "acme/one",
    provider: str = "acme",
    status: str = "ok",
    user: str = "",
) -> list[UUID]:
    """So many requests, a millisecond apart from `at` (now) on; oldest first."""
    begin = at or datetime.now(UTC)
    given: dict[str, str | int] = {
        "at_ms": int(begin.timestamp() * 1000),
        "seed": uuid7().hex,
        "organization": bank.organization,
        "key": key_id or bank.caller.key_id,
        "model": model,
        "provider": provider,
        "price": bank.price.id,
        "status": status,
        "user": user,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(ADD, given)
        return sorted(row[0] for row in cursor.fetchall())
