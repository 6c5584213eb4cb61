"""Whether a request may happen: holds, and every 402 with its numbers."""

import asyncio
from types import MappingProxyType

import pytest
from pytest_django.fixtures import Settings

from billing import api
from billing.types import Bound, Hold
from catalog.types import PriceVersion
from ccapi.core import postgres
from ccapi.core.errors import (
    AccountSuspended,
    BillingUnavailable,
    InFlightReservations,
    ModelNotPriced,
    PaymentRequired,
    RequestExceedsBalance,
)
from ccapi.core.ids import uuid7
from tests.billing.money import Bank, broken, price, rows, running


def test_a_hold_sets_its_amount_aside(bank: Bank) -> None:
    bank.credit(1_000_000)

    hold = running(lambda: api.admit(bank.wants(300)))

    assert hold.amount == 600_000
    assert hold.max_tokens_applied is None
    assert (bank.balance().held, bank.balance().available) == (600_000, 400_000)
    assert broken() == {}


def test_the_hold_is_at_the_dearest_candidate_and_pins_its_price(bank: Bank) -> None:
    bank.credit(10_000_000)
    dear = price({"input": "3", "output": "9"}, name="acme/dear")
    bounds = (
        Bound(price=bank.price, input_tokens=10, output_tokens=100),
        Bound(price=dear, input_tokens=10, output_tokens=100),
    )

    hold = running(lambda: api.admit(bank.wants(0, bounds=bounds)))

    assert hold.amount == 10 * 3000 + 100 * 9000
    assert hold.price_version == dear.id


def test_of_many_at_once_exactly_as_many_are_admitted_as_the_money_covers(bank: Bank) -> None:
    bank.credit(37 * 2000)

    async def storm() -> list[object]:
        tries = [api.admit(bank.wants(1)) for _ in range(500)]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    results = running(storm)

    assert sum(isinstance(result, Hold) for result in results) == 37
    assert sum(isinstance(result, InFlightReservations) for result in results) == 463
    assert bank.balance().available == 0
    assert broken() == {}


def test_a_retry_whose_acknowledgement_was_lost_gets_its_hold(bank: Bank) -> None:
    bank.credit(2000)
    request = bank.wants(1)

    async def twice() -> tuple[Hold, Hold]:
        return await api.admit(request), await api.admit(request)

    first, second = running(twice)

    assert first == second
    assert bank.balance().held == 2000
    assert broken() == {}


def test_an_id_that_is_already_resolved_gets_no_hold(bank: Bank) -> None:
    bank.credit(10_000)
    request = bank.wants(1)

    async def again() -> None:
        api.settle(bank.used(await api.admit(request), 1))
        await api.drain(5)
        await api.admit(request)

    with pytest.raises(BillingUnavailable):
        running(again)
    assert bank.balance().held == 0
    assert broken() == {}


def test_an_empty_wallet_is_told_of_insufficient_credits(bank: Bank, settings: Settings) -> None:
    settings.CCAPI_TOP_UP_URL = "https://example.com/credits"

    with pytest.raises(PaymentRequired) as told:
        running(lambda: api.admit(bank.wants(21)))

    assert (told.value.status, told.value.code) == (402, "insufficient_credits")
    assert told.value.details == {
        "required": "0.000042",
        "available": "0.00",
        "held": "0.00",
        "affordable_max_tokens": 0,
        "top_up_url": "https://example.com/credits",
    }
    assert told.value.http_headers() == {"x-should-retry": "false"}


def test_a_request_above_the_whole_balance_is_told_what_it_could_ask_for(bank: Bank) -> None:
    bank.credit(1_000_000)

    with pytest.raises(RequestExceedsBalance) as told:
        running(lambda: api.admit(bank.wants(501)))

    assert told.value.code == "request_exceeds_balance"
    assert told.value.details == {
        "required": "0.001002",
        "available": "0.001",
        "held": "0.00",
        "affordable_max_tokens": 500,
    }
    assert "max_tokens" in told.value.message


def test_a_balance_that_open_holds_fill_is_worth_waiting_for(bank: Bank) -> None:
    bank.credit(1_000_000)

    async def second() -> None:
        await api.admit(bank.wants(400))
        await api.admit(bank.wants(300))

    with pytest.raises(InFlightReservations) as told:
        running(second)

    assert told.value.code == "in_flight_reservations"
    assert told.value.http_headers()["retry-after"] == "2"
    assert told.value.details["held"] == "0.0008"
    assert told.value.details["available"] == "0.0002"
    assert told.value.details["affordable_max_tokens"] == 100


def test_an_input_alone_above_the_balance_is_insufficient_credits(bank: Bank) -> None:
    bank.credit(1_000_000)
    bounds = (Bound(price=bank.price, input_tokens=1001, output_tokens=1),)

    with pytest.raises(PaymentRequired) as told:
        running(lambda: api.admit(bank.wants(0, bounds=bounds)))

    assert told.value.code == "insufficient_credits"
    assert told.value.details["affordable_max_tokens"] == 0


def test_an_unstated_maximum_shrinks_to_what_the_wallet_affords(bank: Bank) -> None:
    bank.credit(2_001_000)

    hold = running(lambda: api.admit(bank.wants(16_384, output_is_stated=False)))

    assert hold.max_tokens_applied == 1000
    assert hold.amount == 2_000_000
    assert broken() == {}


def test_the_applied_maximum_is_per_answer(bank: Bank) -> None:
    bank.credit(2_001_000)

    hold = running(lambda: api.admit(bank.wants(16_384, output_is_stated=False, choices=3)))

    assert hold.max_tokens_applied == 333
    assert hold.amount == 999 * 2000


def test_an_unstated_maximum_is_not_cut_below_256(bank: Bank) -> None:
    bank.credit(255 * 2000)

    with pytest.raises(RequestExceedsBalance) as told:
        running(lambda: api.admit(bank.wants(16_384, output_is_stated=False)))

    assert told.value.details["affordable_max_tokens"] == 255
    assert bank.balance().held == 0


def test_a_model_without_a_whole_price_is_not_called(bank: Bank) -> None:
    half = PriceVersion(id=1, model="acme/half", rates=MappingProxyType({}))
    bounds = (Bound(price=half, input_tokens=1, output_tokens=1),)

    with pytest.raises(ModelNotPriced):
        running(lambda: api.admit(bank.wants(0, bounds=bounds)))


def test_a_free_model_passes_the_same_door_with_a_hold_of_nothing(bank: Bank) -> None:
    free = price({"input": "0", "output": "0"}, name="acme/free")
    bounds = (Bound(price=free, input_tokens=100, output_tokens=100),)

    hold = running(lambda: api.admit(bank.wants(0, bounds=bounds)))

    assert hold.amount == 0
    assert rows("SELECT amount_nano FROM hold WHERE request_id = %s", hold.request_id) == [(0,)]


def test_a_suspended_wallet_pays_nothing(bank: Bank) -> None:
    bank.credit(1_000_000)
    rows("UPDATE wallet SET status = 2 WHERE organization_id = %s", bank.organization)

    with pytest.raises(AccountSuspended):
        running(lambda: api.admit(bank.wants(1)))


def test_a_caller_who_leaves_while_its_hold_is_placed_gets_the_money_back(bank: Bank) -> None:
    bank.credit(1_000_000)
    served: list[Hold] = []  # to those who left too late: their holds are theirs

    async def leave(turns: int) -> None:
        task = asyncio.ensure_future(api.admit(bank.wants(1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Hold):
            served.append(result)

    async def many() -> None:
        await api.admit(bank.wants(0))  # the connection is open
        for turns in range(1, 40):
            await leave(turns)
        await asyncio.sleep(0.3)

    running(many)

    held = sum(hold.amount for hold in served)
    assert (bank.balance().held, bank.balance().posted) == (held, 1_000_000)
    voided = rows("SELECT count(*) FROM usage_event WHERE status = 'client_cancelled'")
    assert voided[0][0] > 0
    assert broken() == {}


def test_one_poisonous_item_fails_alone(bank: Bank) -> None:
    bank.credit(1_000_000)
    nobody = bank.wants(1, endpoint="chat\x00")  # PostgreSQL's text has no NUL

    async def together() -> list[object]:
        tries = [api.admit(bank.wants(1)), api.admit(nobody), api.admit(bank.wants(1))]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    first, second, third = running(together)

    assert isinstance(first, Hold)
    assert isinstance(third, Hold)
    assert isinstance(second, Exception)
    assert bank.balance().held == 4000


def test_a_caller_without_a_wallet_is_refused(bank: Bank) -> None:
    stranger = bank.caller.__class__(
        organization_id=987_654, organization="org_none", key_id=1, key="key_none"
    )

    with pytest.raises(BillingUnavailable):
        running(lambda: api.admit(bank.wants(1, caller=stranger, request_id=uuid7())))


def test_another_organizations_lock_does_not_fail_a_hold_for_ever(bank: Bank) -> None:
    bank.credit(1_000_000)
    lock = "SELECT pg_sleep(0.3) FROM wallet WHERE organization_id = %s FOR UPDATE"

    async def behind_a_lock() -> Hold:
        blocker = asyncio.ensure_future(postgres.fetch_all(lock, (bank.organization,)))
        await asyncio.sleep(0.1)
        hold = await api.admit(bank.wants(1))
        await blocker
        return hold

    assert running(behind_a_lock).amount == 2000
