"""GET /credits and GET /generations/{id}, as an organization sees them."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from billing import api
from billing.types import Attempt, Hold, Outcome
from ccapi.core.ids import generation_id, request_id, uuid7
from ccapi.core.usage import Usage
from tests.billing.money import Bank, broken, open_bank, rows, running
from tests.databases import leave


@pytest.fixture(autouse=True)
def only_our_routes(settings: Settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "billing.urls"
    yield
    leave()


def get(bank: Bank, path: str) -> tuple[int, dict[str, Any]]:
    answer = Client().get(path, headers={"authorization": f"Bearer {bank.secret}"})
    return answer.status_code, answer.json()


def one(bank: Bank, **changes: Any) -> Hold:  # noqa: ANN401 — fields of a settlement
    async def work() -> Hold:
        hold = await api.admit(bank.wants(1000))
        api.settle(bank.used(hold, 100, **changes))
        return hold

    return running(work)


def test_credits_are_dollar_strings(bank: Bank) -> None:
    bank.credit(25_000_000_000)
    running(lambda: api.admit(bank.wants(50)))

    status, body = get(bank, "/credits")

    assert status == 200
    assert body == {
        "balance": "25.00",
        "held": "0.0001",
        "available": "24.9999",
        "currency": "USD",
    }


def test_credits_need_a_key(bank: Bank) -> None:
    assert Client().get("/credits").status_code == 401


def test_a_receipt_explains_every_cent(bank: Bank) -> None:
    bank.credit(10_000_000)
    attempts = (
        Attempt(model="b/x", provider="b", status=503, latency_ms=3, error="upstream_overloaded"),
        Attempt(model="acme/one", provider="acme", status=200, latency_ms=7),
    )
    usage = Usage(input=10, cache_read=4, output=100, raw=msgspec.Raw(b'{"total_tokens": 114}'))
    hold = one(
        bank,
        usage=usage,
        attempts=attempts,
        stream=True,
        finish_reason="stop",
        first_byte_ms=5,
        latency_ms=40,
    )

    status, body = get(bank, f"/generations/{generation_id(hold.request_id)}")

    assert status == 200
    assert abs(body.pop("created") - time.time()) < 60
    assert body == {
        "id": generation_id(hold.request_id),
        "object": "generation",
        "model": "acme/one",
        "requested_model": "acme/one",
        "provider": "acme",
        "provider_request_id": "",
        "protocol": "openai",
        "endpoint": "chat",
        "stream": True,
        "status": "ok",
        "outcome": "captured",
        "http_status": 200,
        "error_code": None,
        "finish_reason": "stop",
        "attempts": [
            {
                "model": "b/x",
                "provider": "b",
                "status": 503,
                "latency_ms": 3,
                "error": "upstream_overloaded",
                "cost": "0",
            },
            {
                "model": "acme/one",
                "provider": "acme",
                "status": 200,
                "latency_ms": 7,
                "error": "",
                "cost": "0.000214",
            },
        ],
        "usage": {
            "input_tokens": 14,
            "output_tokens": 100,
            "total_tokens": 114,
            "images": 0,
            "characters": 0,
            "buckets": {"input": 10, "cache_read": 4, "output": 100, "requests": 1},
            "raw": {"total_tokens": 114},
        },
        "prices": {
            "currency": "USD",
            "unit": "per_million_tokens",
            "input": "1",
            "cache_read": "1",
            "output": "2",
        },
        "price_version": bank.price.id,
        "input_cost": "0.000014",
        "output_cost": "0.0002",
        "cost": "0.000214",
        "usage_source": "provider",
        "first_byte_ms": 5,
        "latency_ms": 40,
        "user": None,
        "key": bank.caller.key,
        "request_id": request_id(hold.request_id),
    }


def test_a_request_id_finds_the_same_receipt(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = one(bank)

    assert get(bank, f"/generations/{request_id(hold.request_id)}")[0] == 200


def test_another_organizations_generation_is_not_found(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = one(bank)

    status, body = get(open_bank("Other"), f"/generations/{generation_id(hold.request_id)}")

    assert (status, body["error"]["code"]) == (404, "generation_not_found")


@pytest.mark.parametrize("name", ["gen_nonsense", "gen_" + "0" * 32, "req_", "%00"])
def test_what_is_no_generation_is_not_found(bank: Bank, name: str) -> None:
    status, body = get(bank, f"/generations/{name}")

    assert (status, body["error"]["code"]) == (404, "generation_not_found")


def settle_later(bank: Bank, hold: Hold) -> threading.Thread:
    def work() -> None:
        time.sleep(0.15)
        running(settle)

    async def settle() -> None:
        api.settle(bank.used(hold, 100))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_receipt_waits_for_a_settlement_that_is_under_way(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = running(lambda: api.admit(bank.wants(1000)))
    settling = settle_later(bank, hold)

    status, body = get(bank, f"/generations/{generation_id(hold.request_id)}")
    settling.join()

    assert (status, body["cost"]) == (200, "0.0002")


def test_credits_wait_for_a_settlement_that_is_under_way(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = running(lambda: api.admit(bank.wants(1000)))
    settling = settle_later(bank, hold)

    _, body = get(bank, "/credits")
    settling.join()

    assert (body["balance"], body["held"]) == ("0.0098", "0.00")


def test_a_request_that_still_runs_has_no_receipt_yet(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = running(lambda: api.admit(bank.wants(1000)))
    began = time.monotonic()

    status, _ = get(bank, f"/generations/{generation_id(hold.request_id)}")

    assert status == 404
    assert 0.4 < time.monotonic() - began < 2


def test_an_old_unknown_id_is_answered_at_once(bank: Bank) -> None:
    old = uuid7().int - (60_000 << 80)
    began = time.monotonic()

    status, _ = get(bank, f"/generations/gen_{old:032x}")

    assert status == 404
    assert time.monotonic() - began < 0.4


def test_a_void_request_has_a_receipt_of_zero(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = one(bank, outcome=Outcome.VOIDED, status="upstream_error", http_status=502)

    _, body = get(bank, f"/generations/{generation_id(hold.request_id)}")

    assert (body["status"], body["cost"]) == ("upstream_error", "0")


def test_late_usage_stands_on_the_receipt(bank: Bank) -> None:
    bank.credit(10_000_000)
    hold = running(lambda: api.admit(bank.wants(1000)))
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")
    rows("SELECT * FROM sweep_holds_v1(10, 0, 'test')")

    async def late() -> None:
        api.settle(bank.used(hold, 100))

    running(late)
    _, body = get(bank, f"/generations/{generation_id(hold.request_id)}")

    assert (body["status"], body["cost"]) == ("expired", "0.0002")
    assert (body["input_cost"], body["output_cost"]) == ("0", "0.0002")
    assert body["usage"]["output_tokens"] == 100
    assert body["prices"]["output"] == "2"
    assert broken() == {}
