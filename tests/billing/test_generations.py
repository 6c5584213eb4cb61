"""GET /generations: filtered, page by page, and as CSV."""

import csv
import io
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import api as accounts
from accounts.models import ApiKey, Organization
from billing import generations
from billing.types import STATUSES
from ccapi.core.errors import InvalidParameter
from ccapi.core.ids import generation_id, uuid7
from tests.billing.money import Bank, open_bank, rows
from tests.billing.usage_rows import add
from tests.databases import OwnDatabase, leave, url_of
from tests.e2e.stack import Web

# Django's test client is synchronous; a server is not, and reads the answer as it comes.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
JSON = "application/json"
NOON = datetime(2026, 10, 7, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def only_our_routes(settings: Settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "billing.urls"
    yield
    leave()


@pytest.fixture
def bank(db: None) -> Bank:
    """An organization in a transaction that is rolled back: most tests here only read."""
    return open_bank()


@pytest.fixture
def real_bank(own_database: OwnDatabase) -> Bank:
    """One whose commits others see."""
    return open_bank()


def ask(bank: Bank, accept: str = JSON, /, **query: str | int) -> Any:  # noqa: ANN401
    address = "/generations?" + urlencode({name.strip("_"): query[name] for name in query})
    headers = {"authorization": f"Bearer {bank.secret}", "accept": accept}
    return Client().get(address, headers=headers)


def ids(bank: Bank, **query: str | int) -> list[str]:
    answer = ask(bank, **query)
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["data"]]


def names(found: list[UUID]) -> list[str]:
    """As the list shows them: newest first."""
    return [generation_id(each) for each in reversed(found)]


def sheet(bank: Bank, **query: str | int) -> list[dict[str, str]]:
    answer = ask(bank, "text/csv", **query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = b"".join(answer).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_item_is_the_receipt_of_its_request(bank: Bank) -> None:
    (made,) = add(bank)

    answer = ask(bank).json()

    headers = {"authorization": f"Bearer {bank.secret}"}
    alone = Client().get(f"/generations/{generation_id(made)}", headers=headers).json()
    assert answer == {"object": "list", "data": [alone], "next_cursor": None}
    assert (alone["cost"], alone["key"]) == ("0.000069", bank.caller.key)


def test_pages_follow_each_other_newest_first_without_a_gap_or_a_repetition(bank: Bank) -> None:
    made = add(bank, 7)
    # New requests between two pages change nothing in what follows.
    first = ask(bank, limit=3).json()
    add(bank, 2, at=datetime.now(UTC) + timedelta(minutes=1))
    second = ask(bank, limit=3, cursor=first["next_cursor"]).json()
    third = ask(bank, limit=3, cursor=second["next_cursor"]).json()

    seen = [item["id"] for page in (first, second, third) for item in page["data"]]
    assert seen == names(made)
    assert third["next_cursor"] is None


def test_a_full_last_page_has_no_next(bank: Bank) -> None:
    add(bank, 3)

    assert ask(bank, limit=3).json()["next_cursor"] is None


def test_each_filter_finds_its_own(bank: Bank) -> None:
    other = accounts.create_key(bank.caller.organization, name="other")
    by_key = add(bank, key_id=ApiKey.objects.get(public_id=other.key).pk, at=NOON)
    by_model = add(bank, model="acme/two", at=NOON + timedelta(days=1))
    by_status = add(bank, status="timeout", at=NOON + timedelta(days=2))

    assert ids(bank, key=other.key) == names(by_key)
    assert ids(bank, model="acme/two") == names(by_model)
    assert ids(bank, status="timeout") == names(by_status)
    assert ids(bank, model="acme/none") == []
    assert ids(bank, model="acme/two", status="timeout") == []
    assert ids(bank) == names(by_key + by_model + by_status)


def test_time_begins_with_from_and_ends_before_to(bank: Bank) -> None:
    made = add(bank, 3, at=NOON)  # at 1, 2 and 3 milliseconds past noon

    def between(begin: int, end: int) -> list[str]:
        span = {"from": begin, "to": end}
        text = {name: f"2026-10-07T12:00:00.{span[name]:03}Z" for name in span}
        return ids(bank, **text)

    assert between(1, 4) == names(made)
    assert between(2, 3) == names(made[1:2])
    assert between(4, 9) == []


def test_a_day_is_the_organizations(bank: Bank) -> None:
    Organization.objects.update(timezone="Asia/Kolkata")  # 5 h 30 min ahead
    made = add(bank, at=datetime(2026, 10, 6, 18, 30, tzinfo=UTC))

    assert ids(bank, **{"from": "2026-10-07", "to": "2026-10-08"}) == names(made)
    assert ids(bank, to="2026-10-07") == []


def test_months_lie_in_partitions_and_are_read_as_one(bank: Bank) -> None:
    months = [datetime.now(UTC) + timedelta(days=days) for days in (-31, 0, 31)]
    made = [add(bank, at=month)[0] for month in months]

    assert ids(bank) == names(made)
    span = {"from": months[1].isoformat(), "to": (months[1] + timedelta(hours=1)).isoformat()}
    assert ids(bank, **span) == names(made[1:2])


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "é" * 22}, "cursor"),
        ({"cursor": "A" * 23}, "cursor"),
        ({"status": "fine"}, "status"),
        ({"key": "nonsense"}, "key"),
        ({"key": "key_nowhere"}, "key"),
        ({"model": "x" * 257}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-13-01"}, "to"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_a_wrong_parameter_is_refused_by_name(
    bank: Bank, query: dict[str, str | int], param: str, accept: str
) -> None:
    answer = ask(bank, accept, **query)

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert answer.headers["content-type"] == "application/json"


def test_a_page_is_shorter_than_a_sheet_may_be(bank: Bank) -> None:
    assert ask(bank, limit=101).json()["error"]["param"] == "limit"
    assert sheet(bank, limit=101) == []


def test_another_organizations_requests_and_keys_are_not_there(bank: Bank) -> None:
    other = open_bank("Other")
    (theirs,) = add(other)

    assert ids(bank) == []
    assert sheet(bank) == []
    assert ask(bank, key=other.caller.key).json()["error"]["param"] == "key"
    assert ids(bank, cursor=generations.to_cursor(theirs)) == []  # it says a time and no more


def test_a_key_in_the_query_is_the_credential_and_no_filter(bank: Bank) -> None:
    made = add(bank)

    answer = Client().get(f"/generations?key={bank.secret}")

    assert [item["id"] for item in answer.json()["data"]] == names(made)


def test_a_cursor_says_where_and_comes_back_whole() -> None:
    here = uuid7()

    assert generations.from_cursor(generations.to_cursor(here)) == here
    with pytest.raises(InvalidParameter):
        generations.from_cursor(generations.to_cursor(here)[:-1])


def test_a_sheet_has_every_request_over_page_after_page(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "CSV_PAGE", 3)
    made = add(bank, 6) + add(bank, 1, at=datetime.now(UTC) + timedelta(seconds=5))

    assert [row["id"] for row in sheet(bank)] == names(made)
    assert [row["id"] for row in sheet(bank, limit=4)] == names(made)[:4]
    assert [row["id"] for row in sheet(bank, limit=3)] == names(made)[:3]


def test_a_line_of_a_sheet_says_what_the_receipt_says(bank: Bank) -> None:
    (made,) = add(bank, at=NOON)

    (line,) = sheet(bank)

    assert line == {
        "id": generation_id(made),
        "created": "2026-10-07T12:00:00Z",
        "model": "acme/one",
        "requested_model": "acme/one",
        "provider": "acme",
        "protocol": "openai",
        "endpoint": "chat",
        "stream": "false",
        "status": "ok",
        "outcome": "captured",
        "http_status": "200",
        "error_code": "",
        "finish_reason": "",
        "attempts": "1",
        "input_tokens": "19",
        "output_tokens": "25",
        "cache_read_tokens": "4",
        "cache_write_tokens": "5",
        "reasoning_tokens": "5",
        "images": "0",
        "characters": "0",
        "input_cost": "0.000019",
        "output_cost": "0.00005",
        "cost": "0.000069",
        "usage_source": "provider",
        "price_version": str(bank.price.id),
        "first_byte_ms": "5",
        "latency_ms": "100",
        "user": "",
        "key": bank.caller.key,
        "request_id": "req_" + made.hex,
    }


def test_no_cell_of_a_sheet_is_a_formula(bank: Bank) -> None:
    add(bank, user='=HYPERLINK("https://example.com")')

    (line,) = sheet(bank)

    assert line["user"] == '\'=HYPERLINK("https://example.com")'


def test_a_browser_may_ask_for_a_sheet_by_the_address_alone(bank: Bank) -> None:
    add(bank)

    answer = ask(bank, "*/*", format="csv")

    assert answer.headers["content-disposition"] == 'attachment; filename="generations.csv"'
    assert answer.headers["cache-control"] == "no-store"
    assert len(b"".join(answer).splitlines()) == 2


def test_every_status_that_the_gateway_writes_can_be_asked_for() -> None:
    root = Path(generations.__file__).resolve().parents[1] / "gateway"
    written = {
        status
        for file in root.glob("*.py")
        for status in re.findall(r'\bstatus="(\w+)"', file.read_text())
    }

    assert written
    assert written <= set(STATUSES)


@pytest.fixture
def web(real_bank: Bank) -> Iterator[Web]:
    """The product's own web process on this test's database."""
    url = url_of(connection.settings_dict["NAME"])
    leave()
    process = Web({**os.environ, "DATABASE_URL": url, "CCAPI_LOG_LEVEL": "warning"})
    yield process
    process.stop()


TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend' AND state LIKE 'idle in transaction%%'
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sheet_of_fifty_thousand_requests_needs_little_memory_and_holds_no_transaction(
    real_bank: Bank, web: Web
) -> None:
    add(real_bank, 50_000, at=NOON)
    headers = {"authorization": f"Bearer {real_bank.secret}", "accept": "text/csv"}
    httpx2.get(f"{web.url}/v1/generations?limit=2000", headers=headers)  # what is loaded once
    before = _peak_kb(web)

    lines = size = 0
    with httpx2.stream("GET", f"{web.url}/v1/generations", headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_raw():
            if not lines:
                waiting = rows(TRANSACTIONS)  # while we, slowly, read
            lines += chunk.count(b"\r\n")
            size += len(chunk)

    assert waiting == [(0,)]
    assert lines == 50_001
    assert size > 9_000_000
    # kB: a few pages. The rows of the whole sheet, as objects, are ten times that.
    assert _peak_kb(web) - before < 20_000


def _peak_kb(web: Web) -> int:
    status = Path(f"/proc/{web.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
