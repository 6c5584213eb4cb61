"""The invariants of the money, checked: `sql/audit.sql` and, for prices, Python.

Run after every test of money, every night, and by `manage.py audit`. Nothing here writes. A check
sees one snapshot of the database, so traffic may go on meanwhile.
"""

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from billing import pricing
from billing.models.receipts import QUANTITIES
from billing.types import Finding
from catalog.types import PriceVersion, Rate, Tier, Variant
from ccapi.core.usage import Usage

SAMPLE = 5  # rows shown of what is broken
OVERDUE_S = 60.0  # beyond expiry and the sweeper's period
PLAIN = "{}"  # no variant, as the database writes it
PRICED = (
    f"SELECT {', '.join(QUANTITIES)}, request_id, charge_nano, price_version_id, "  # noqa: S608
    "price_snapshot::text FROM usage_event WHERE outcome IN (1, 4, 5)"
)
# I-NAME → its query: the rows of each are what breaks it.
CHECKS: dict[str, str] = {
    match["name"]: match["query"]
    for match in re.finditer(
        r"^-- (?P<name>I-[A-Z]+):[^\n]*\n(?P<query>.+?);$",
        (Path(__file__).parent / "sql" / "audit.sql").read_text(),
        re.MULTILINE | re.DOTALL,
    )
}


def audit() -> list[Finding]:
    """Check every invariant in one snapshot. A finding with `broken == 0` holds."""
    nested = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        overdue_s = OVERDUE_S + 2 * settings.CCAPI_SWEEP_S
        findings = []
        for name, query in CHECKS.items():
            cursor.execute(query, {"overdue_s": overdue_s})
            rows = cursor.fetchall()
            findings.append(Finding(name=name, broken=len(rows), sample=tuple(rows[:SAMPLE])))
        findings.append(_prices())
    return findings


def _prices() -> Finding:
    """I-PRICE: every charge follows from its quantities and prices, and those are the catalog's."""
    versions = _versions()
    broken: list[tuple[Any, ...]] = []
    count = 0
    with connection.chunked_cursor() as cursor:
        cursor.execute(PRICED)
        for row in cursor:
            usage = Usage(**dict(zip(QUANTITIES, row, strict=False)))
            request_id, charged, version_id, snapshot = row[len(QUANTITIES) :]
            fault = _price_fault(usage, charged, versions.get(version_id), json.loads(snapshot))
            if fault:
                count += 1
                broken.append((request_id, fault))
                del broken[SAMPLE:]
    return Finding(name="I-PRICE", broken=count, sample=tuple(broken))


def _price_fault(
    usage: Usage, charged: int, version: PriceVersion | None, snapshot: dict[str, Any]
) -> str:
    names = {**{bucket: bucket for bucket in pricing.FALLBACKS}, **pricing.FEES, **pricing.MADE}
    kept = {names[bucket]: Rate(*rate) for bucket, rate in snapshot["rates"].items()}
    as_kept = PriceVersion(id=0, model="", rates=MappingProxyType(kept))
    due = pricing.charge(usage, as_kept, charged)
    if due.cost + due.overage != charged:
        return f"charged {charged}, by its own prices {due.cost + due.overage}"
    if version is None:
        return "its price version is not in the catalog"
    size, quality = snapshot.get("variant", pricing.UNKNOWN)
    due_snapshot = pricing.snapshot(usage, version, (size, quality))
    if json.loads(json.dumps(due_snapshot)) != snapshot:
        return "its prices are not those of its price version"
    return ""


def _versions() -> dict[int, PriceVersion]:
    """The catalog's price versions, read from its tables: what was approved, not what is cached."""
    # By version, then by tier and variant: the rates.
    rates: dict[int, dict[tuple[int, str], dict[str, Rate]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.id, c.tier_start, c.variant::text, c.unit,"
            " (c.sell_price * 1000000000000)::bigint, c.per"
            " FROM price_version v LEFT JOIN price_component c ON c.price_version_id = v.id"
            " WHERE v.status <> 'draft'"
        )
        for version, tier, variant, unit, pico, per in cursor:
            places = rates.setdefault(version, {})
            if unit is not None:
                places.setdefault((tier, variant), {})[unit] = Rate(pico, per)
    return {version: _version(version, places) for version, places in rates.items()}


def _version(version: int, places: dict[tuple[int, str], dict[str, Rate]]) -> PriceVersion:
    return PriceVersion(
        id=version,
        model="",
        rates=MappingProxyType(places.get((0, PLAIN), {})),
        tiers=tuple(
            Tier(start, MappingProxyType(places[start, variant]))
            for start, variant in sorted(places)
            if start and variant == PLAIN
        ),
        variants=tuple(
            Variant(MappingProxyType(json.loads(variant)), MappingProxyType(places[start, variant]))
            for start, variant in sorted(places)
            if variant != PLAIN
        ),
    )
