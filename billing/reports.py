"""What an organization used in a span of time, by day, key, model and provider.

Read from `usage_rollup`, which the settlements themselves keep exact to the last one: a month of a
million requests is some thousands of its rows. Days are the organization's own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from billing import receipts
from ccapi.core import sheets
from ccapi.core.errors import InvalidParameter
from ccapi.core.money import dollar_number

GROUPS = ("day", "key", "model", "provider")
BUCKET_S = 1800  # of usage_rollup
DAYS = 30  # that a report shows if nothing else is asked for, today included
DAYS_MAX = 366
ROWS_MAX = 10_000
COUNTS = (
    *("requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("output_tokens", "reasoning_tokens", "images", "characters"),
)
SUMS = (*COUNTS, "cost_nano", "latency_ms_sum")
MEASURES = (*COUNTS, "cost", "latency_ms_mean")
EXPRESSIONS = {
    "day": "to_char(r.bucket AT TIME ZONE %s, 'YYYY-MM-DD')",
    "key": "(SELECT public_id FROM api_key k WHERE k.id = r.key_id)",
    "model": "r.model",
    "provider": "r.provider",
}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """`since` <= time of the request < `until`, on the half hour; `key_id` is a primary key."""

    organization_id: int
    timezone: str
    since: datetime
    until: datetime
    group_by: tuple[str, ...] = ("day",)
    key_id: int | None = None
    model: str | None = None
    provider: str | None = None


def span(
    since: datetime | None, until: datetime | None, *, timezone: str, now: datetime
) -> tuple[datetime, datetime]:
    """The time that a report is about, widened to whole half hours.

    Without `since`: the last days up to `until`, by the organization's days; without `until`: now.
    Raises: InvalidParameter.
    """
    zone = ZoneInfo(timezone)
    end = now if until is None else until
    if since is None:
        last = (end - timedelta(microseconds=1)).astimezone(zone).date()
        first = last - timedelta(days=DAYS - 1)
        since = datetime(first.year, first.month, first.day, tzinfo=zone)
    if since >= end:
        raise InvalidParameter("from: it must be before to.", param="from")
    if end - since > timedelta(days=DAYS_MAX + 1):
        raise InvalidParameter(f"from: a report covers at most {DAYS_MAX} days.", param="from")
    floor = int(since.timestamp()) // BUCKET_S * BUCKET_S
    ceiling = -(-end.timestamp() // BUCKET_S) * BUCKET_S
    return datetime.fromtimestamp(floor, UTC), datetime.fromtimestamp(ceiling, UTC)


def usage(query: Query) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One line a group, in the order of the groups; and the total.

    Raises: InvalidParameter for more lines than `ROWS_MAX`.
    """
    found = _rows(query)
    if len(found) > ROWS_MAX:
        raise InvalidParameter(
            f"group_by: more than {ROWS_MAX} lines. Ask for less time or fewer groups.",
            param="group_by",
        )
    total = {name: sum(row[name] for row in found) for name in SUMS}
    lines = [{**{group: row[group] for group in query.group_by}, **_measures(row)} for row in found]
    return lines, _measures(total)


def csv(query: Query) -> bytes:
    """The same lines, without the total."""
    names = (*query.group_by, *MEASURES)
    lines, _ = usage(query)
    return sheets.lines([names, *([line[name] for name in names] for line in lines)])


def _rows(query: Query) -> list[dict[str, Any]]:
    params: list[receipts.Param] = [query.timezone for group in query.group_by if group == "day"]
    conditions = ["r.organization_id = %s", "r.bucket >= %s", "r.bucket < %s"]
    params += [query.organization_id, query.since, query.until]
    for column, value in (
        ("key_id", query.key_id),
        ("model", query.model),
        ("provider", query.provider),
    ):
        if value is not None:
            conditions.append(f"r.{column} = %s")
            params.append(value)
    groups = [f'{EXPRESSIONS[group]} AS "{group}"' for group in query.group_by]
    sums = [f"coalesce(sum(r.{name}), 0)::bigint AS {name}" for name in SUMS]
    grouping = _grouping(len(groups))
    sql = (
        f"SELECT {', '.join(groups + sums)} FROM usage_rollup r"  # noqa: S608 — constants
        f" WHERE {' AND '.join(conditions)} {grouping} LIMIT %s"
    )
    return receipts.rows(sql, [*params, ROWS_MAX + 1])


def _grouping(count: int) -> str:
    numbers = ", ".join(str(number) for number in range(1, count + 1))
    return f"GROUP BY {numbers} ORDER BY {numbers}" if count else ""


def _measures(sums: dict[str, Any]) -> dict[str, Any]:
    requests = sums["requests"]
    return {
        **{name: sums[name] for name in COUNTS},
        "cost": dollar_number(sums["cost_nano"]),
        "latency_ms_mean": round(sums["latency_ms_sum"] / requests) if requests else None,
    }


def groups(names: Iterable[str]) -> tuple[str, ...]:
    """Raises: InvalidParameter for a group that there is not, or one named twice."""
    found = tuple(names)
    for name in found:
        if name not in GROUPS or found.count(name) > 1:
            raise InvalidParameter(
                f"group_by: each of {', '.join(GROUPS)} at most once, separated by commas.",
                param="group_by",
                details={"allowed": list(GROUPS)},
            )
    return found
