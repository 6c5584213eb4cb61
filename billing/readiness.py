"""Whether billing's tables are ready for the months to come, asked without a lock or a scan."""

from ccapi.core import postgres

# Rows of a month without a partition of its own go to the default one: nothing is lost, but it is
# time to look why `ensure_partitions_v1` has not run.
MISSING = """
SELECT count(*) FROM unnest(ARRAY['settlement', 'usage_event']) AS parent,
  generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                  date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month',
                  interval '1 month') AS month
WHERE to_regclass(parent || to_char(month, '"_y"YYYY"m"MM')) IS NULL"""


async def has_partitions(*, timeout_s: float) -> bool:
    """Whether this month's and the next one's are there. Raises: BillingUnavailable."""
    row = await postgres.fetch_one(MISSING, timeout_s=timeout_s)
    return row is not None and row[0] == 0
