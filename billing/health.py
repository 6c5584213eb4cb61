"""How providers did in the last hour, measured from the attempts on the usage events.

Answers the catalog's pages; the walk does not route by it. A request that was wrong for every
provider (400, 404, 413, 422) says nothing of the provider and does not count; nor does a candidate
that was passed over (0).
"""

import threading
import time
from typing import Literal

from django.db import connection

from catalog.types import Health

WINDOW_S = 3600
# Figures are at most so old, in seconds: a page that lists providers asks once for all of them.
FRESH_S = 15.0
# Below so many attempts there is no verdict.
ATTEMPTS_MIN = 5
DEGRADED_BELOW = 0.95
DOWN_BELOW = 0.5

# Events are found by their id, which is ordered by time (UUIDv7), so partitions are pruned.
MEASURE = """
WITH recent AS (
  SELECT provider, stream, first_byte_ms, attempts FROM usage_event
  WHERE request_id >= (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint
                       - %s * 1000), 12, '0') || '00000000000000000000')::uuid
), tried AS (
  SELECT attempt->>'provider' AS provider, (attempt->>'status')::int AS status,
         (attempt->>'latency_ms')::int AS latency_ms
  FROM recent, jsonb_array_elements(attempts) AS attempt
), did AS (
  SELECT provider, count(*) AS attempts, avg((status = 200)::int)::float8 AS success_rate,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY latency_ms)
           FILTER (WHERE status = 200) AS p50,
         percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms)
           FILTER (WHERE status = 200) AS p95
  FROM tried WHERE status NOT IN (0, 400, 404, 413, 422) GROUP BY provider
), began AS (
  SELECT provider, percentile_disc(0.5) WITHIN GROUP (ORDER BY first_byte_ms) AS first
  FROM recent WHERE stream AND first_byte_ms IS NOT NULL GROUP BY provider
)
SELECT did.provider, attempts, success_rate, p50, p95, first
FROM did LEFT JOIN began USING (provider)
"""


class Measured:
    """The figures of all providers, read again when they are older than FRESH_S."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_provider: dict[str, Health] = {}
        self._read_at = float("-inf")

    def health_of(self, provider: str) -> Health:
        """What was measured of one provider; nothing where nothing was tried."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                self._by_provider = measure()
                self._read_at = time.monotonic()
            return self._by_provider.get(provider, Health())


def measure() -> dict[str, Health]:
    """The last hour of every provider that was tried."""
    with connection.cursor() as cursor:
        cursor.execute(MEASURE, [WINDOW_S])
        return {
            provider: Health(
                status=_status(attempts, success_rate),
                success_rate=round(success_rate, 4),
                latency_ms_p50=p50,
                latency_ms_p95=p95,
                time_to_first_token_ms=first,
            )
            for provider, attempts, success_rate, p50, p95, first in cursor.fetchall()
        }


def _status(attempts: int, success_rate: float) -> Literal["operational", "degraded", "down"]:
    if attempts < ATTEMPTS_MIN or success_rate >= DEGRADED_BELOW:
        return "operational"
    return "degraded" if success_rate >= DOWN_BELOW else "down"
