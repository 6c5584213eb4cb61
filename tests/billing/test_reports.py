"""GET /usage, and the sums behind it, which are kept by the settlements themselves."""

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.test import Client
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from accounts import api as accounts
from accounts.models import ApiKey, Organization
from billing import api, reports
from billing.types import Bound, Outcome
from ccapi.core.errors import InvalidParameter
from ccapi.core.usage import Usage
from tests.billing.money import Bank, broken, open_bank, price, rows, running
from tests.billing.usage_rows import add
from tests.databases import OwnDatabase, leave

JSON = "application/json"
NOON = datetime(2026, 10, 7, 12, tzinfo=UTC)
WEEK = {"from": "2026-10-05", "to": "2026-10-12"}


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
    headers = {"authorization": f"Bearer {bank.secret}", "accept": accept}
    return Client().get("/usage?" + urlencode(query), headers=headers)


def report(bank: Bank, **query: str | int) -> Any:  # noqa: ANN401 — JSON
    answer = ask(bank, **query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_report_adds_up_what_was_used_to_the_nano_dollar(bank: Bank) -> None:
    add(bank, 3, at=NOON)
    add(bank, 1, at=NOON + timedelta(days=1), status="timeout")
    add(bank, 1, at=NOON + timedelta(days=1), status="client_cancelled")

    found = report(bank, **WEEK)

    def line(requests: int, errors: int, cost: str) -> dict[str, Any]:
        return {
            "requests": requests,
            "errors": errors,
            "input_tokens": 19 * requests,
            "cache_read_tokens": 4 * requests,
            "cache_write_tokens": 5 * requests,
            "output_tokens": 25 * requests,
            "reasoning_tokens": 5 * requests,
            "images": 0,
            "characters": 0,
            "cost": cost,
            "latency_ms_mean": 100,
        }

    assert found == {
        "object": "list",
        "timezone": "UTC",
        "group_by": ["day"],
        "from": "2026-10-05T00:00:00Z",
        "to": "2026-10-12T00:00:00Z",
        "data": [
            {"day": "2026-10-07", **line(3, 0, "0.000207")},
            {"day": "2026-10-08", **line(2, 1, "0.000138")},
        ],
        "total": line(5, 1, "0.000345"),
    }


def test_pictures_and_characters_are_reported_by_day_and_model(bank: Bank) -> None:
    bank.credit(1_000_000_000)
    draw = price({"image": "0.04"}, name="acme/draw")
    voice = price({"input_characters": "15"}, name="acme/voice")
    for paid, used in (
        (draw, Usage(images=2)),
        (draw, Usage(images=3)),
        (voice, Usage(characters=1_000)),
    ):
        bound = Bound(
            price=paid,
            input_tokens=0,
            output_tokens=0,
            images=used.images,
            characters=used.characters,
        )
        hold = api.place_hold(bank.wants(0, bounds=(bound,)))
        api.settle_hold(bank.used(hold, 0, usage=used, price=paid, model=paid.model))

    found = report(bank, group_by="model")

    told = {
        line["model"]: (line["images"], line["characters"], line["cost"]) for line in found["data"]
    }
    assert told == {"acme/draw": (5, 0, "0.2"), "acme/voice": (0, 1_000, "0.015")}
    assert (found["total"]["images"], found["total"]["characters"]) == (5, 1_000)


def test_nothing_used_is_an_empty_report(bank: Bank) -> None:
    found = report(bank)

    assert found["data"] == []
    assert (found["total"]["requests"], found["total"]["cost"]) == (0, "0")
    assert found["total"]["latency_ms_mean"] is None


def test_a_report_groups_by_what_it_is_asked_for(bank: Bank) -> None:
    other = accounts.create_key(bank.caller.organization, name="other")
    add(bank, 2, at=NOON)
    add(bank, 3, at=NOON, key_id=ApiKey.objects.get(public_id=other.key).pk)
    add(bank, 4, at=NOON, model="b/two", provider="b")

    def groups(by: str, **query: str | int) -> dict[tuple[str, ...], int]:
        lines = report(bank, group_by=by, **WEEK, **query)["data"]
        names = by.split(",")
        return {tuple(line[name] for name in names): line["requests"] for line in lines}

    first, second = bank.caller.key, other.key
    assert groups("model") == {("acme/one",): 5, ("b/two",): 4}
    assert groups("provider") == {("acme",): 5, ("b",): 4}
    assert groups("key") == {(first,): 6, (second,): 3}
    assert groups("key,model") == {
        (first, "acme/one"): 2,
        (first, "b/two"): 4,
        (second, "acme/one"): 3,
    }
    assert groups("day,provider") == {("2026-10-07", "acme"): 5, ("2026-10-07", "b"): 4}
    assert groups("day", key=second) == {("2026-10-07",): 3}
    assert groups("day", model="b/two") == {("2026-10-07",): 4}
    assert groups("day", provider="acme") == {("2026-10-07",): 5}


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Asia/Kolkata", "2026-10-08"), ("America/New_York", "2026-10-07"), ("UTC", "2026-10-07")],
)
def test_a_day_is_the_organizations(bank: Bank, zone: str, day: str) -> None:
    Organization.objects.update(timezone=zone)
    add(bank, at=datetime(2026, 10, 7, 18, 30, tzinfo=UTC))  # midnight in Kolkata

    found = report(bank, **WEEK)

    assert found["timezone"] == zone
    assert [line["day"] for line in found["data"]] == [day]
    assert report(bank, **{"from": day})["total"]["requests"] == 1
    assert report(bank, **{"from": "2026-10-05", "to": day})["total"]["requests"] == 0


def test_a_report_shows_the_last_thirty_days_unless_it_is_asked_for_others(bank: Bank) -> None:
    now = datetime.now(UTC)
    add(bank, 2, at=now - timedelta(minutes=1))
    add(bank, 3, at=now - timedelta(days=28))
    add(bank, 4, at=now - timedelta(days=31))

    assert report(bank)["total"]["requests"] == 5


@examples(deadline=None)  # the machine may be busy
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 — made aware below
    st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_thirty_days_are_thirty_days_of_the_organizations(at: datetime, zone: str) -> None:
    now = at.replace(tzinfo=UTC)

    since, until = reports.span(None, None, timezone=zone, now=now)

    assert since < now <= until < now + timedelta(minutes=30)
    assert timedelta(days=28, hours=22) <= now - since <= timedelta(days=30, hours=2)
    for edge in (since, until):
        assert edge.timestamp() % 1800 == 0


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"group_by": "user"}, "group_by"),
        ({"group_by": "day,day"}, "group_by"),
        ({"group_by": "day,"}, "group_by"),
        ({"from": "2026-10-07", "to": "2026-10-07"}, "from"),
        ({"from": "2024-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "soon"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"key": "key_nowhere"}, "key"),
        ({"provider": "x" * 65}, "provider"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(
    bank: Bank, query: dict[str, str | int], param: str
) -> None:
    for accept in ("application/json", "text/csv"):
        answer = ask(bank, accept, **query)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_report_with_too_many_lines_says_what_to_do(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "ROWS_MAX", 1)
    add(bank, at=NOON)
    add(bank, at=NOON, model="b/two")

    error = ask(bank, group_by="model", **WEEK).json()["error"]

    assert error["param"] == "group_by"
    assert "less time" in error["message"]


def test_another_organizations_use_is_not_there(bank: Bank) -> None:
    other = open_bank("Other")
    add(other, at=NOON)

    assert report(bank, **WEEK)["total"]["requests"] == 0
    assert ask(bank, key=other.caller.key).json()["error"]["param"] == "key"


def test_a_sheet_has_the_same_lines(bank: Bank) -> None:
    add(bank, 2, at=NOON, model="=1+1")

    answer = ask(bank, "text/csv", group_by="day,model", **WEEK)

    lines = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    (line,) = report(bank, group_by="day,model", **WEEK)["data"]
    assert lines == [{**{name: str(line[name]) for name in line}, "model": "'=1+1"}]


def test_what_was_settled_a_moment_ago_is_in_the_report(real_bank: Bank) -> None:
    real_bank.credit(10_000_000)

    async def work() -> None:
        for outcome, tokens in ((Outcome.CAPTURED, 100), (Outcome.PARTIAL, 50)):
            hold = await api.admit(real_bank.wants(1000))
            api.settle(real_bank.used(hold, tokens, outcome=outcome, latency_ms=30))

    running(work)

    total = report(real_bank)["total"]
    assert (total["requests"], total["output_tokens"], total["cost"]) == (2, 150, "0.0003")
    assert total["latency_ms_mean"] == 30


def test_what_came_late_counts_where_its_request_began(real_bank: Bank) -> None:
    real_bank.credit(10_000_000)
    hold = running(lambda: api.admit(real_bank.wants(1000)))
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")
    rows("SELECT * FROM sweep_holds_v1(10, 0, 'test')")
    assert report(real_bank)["total"]["cost"] == "0"

    async def late() -> None:
        api.settle(
            real_bank.used(hold, 100, usage=Usage(input=7, cache_read=3, output=80, reasoning=20))
        )

    running(late)

    total = report(real_bank)["total"]
    assert (total["requests"], total["errors"], total["cost"]) == (1, 1, "0.00021")
    assert (total["input_tokens"], total["output_tokens"]) == (10, 100)
    assert (total["cache_read_tokens"], total["reasoning_tokens"]) == (3, 20)
    assert broken() == {}


def test_the_sums_are_what_the_events_say_when_the_triggers_came_later(real_bank: Bank) -> None:
    """As on a database that was there before: the migration's own filling."""
    add(real_bank, 5, at=NOON)
    add(real_bank, 2, at=NOON, status="timeout", model="b/two")
    before = rows("SELECT * FROM usage_rollup ORDER BY 1, 2, 3, 4, 5, 6")

    call_command("migrate", "billing", "0004", verbosity=0)
    call_command("migrate", "billing", verbosity=0)

    assert rows("SELECT * FROM usage_rollup ORDER BY 1, 2, 3, 4, 5, 6") == before
    assert len(before) == 2


def test_a_report_over_forty_thousand_requests_is_given_at_once(bank: Bank) -> None:
    for day in range(20):
        for model in ("a/one", "b/two"):
            add(bank, 1_000, at=NOON + timedelta(days=day), model=model)
    began = time.monotonic()

    found = report(bank, group_by="day,model", **{"from": "2026-10-01", "to": "2026-11-01"})

    assert found["total"]["requests"] == 40_000
    assert len(found["data"]) == 40
    assert time.monotonic() - began < 1


def test_a_span_is_widened_to_the_half_hour() -> None:
    begin, end = NOON + timedelta(minutes=5), NOON + timedelta(minutes=31)

    since, until = reports.span(begin, end, timezone="UTC", now=NOON)

    assert (since, until) == (NOON, NOON + timedelta(hours=1))


def test_a_span_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="before"):
        reports.span(NOON, NOON, timezone="UTC", now=NOON)
