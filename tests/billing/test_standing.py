"""Holds of jobs: placed and settled in the job's own transaction, by every request's rules."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from billing import api, ledger, records
from billing.types import Admission, Bound, Hold, Outcome, Settlement
from catalog import api as catalog
from catalog.types import PriceVersion
from ccapi.core import metrics
from ccapi.core.alerts import Kind
from ccapi.core.errors import (
    AccountSuspended,
    BillingUnavailable,
    GatewayError,
    InFlightReservations,
    ModelNotPriced,
    PaymentRequired,
    RequestExceedsBalance,
)
from ccapi.core.ids import generation_id
from ccapi.core.usage import Usage
from tests.billing.money import Bank, broken, price, rows, running
from tests.catalog.catalog_documents import model, provider
from tests.databases import OwnDatabase, leave

OUTCOME = "SELECT outcome, charge_nano, captured_nano, overage_nano, settled_by FROM settlement"
SWEEP = "SELECT request_id FROM sweep_holds_v1(500, 0, 'test')"


@pytest.fixture(autouse=True)
def all_invariants_hold(own_database: OwnDatabase) -> Iterator[None]:
    yield
    assert broken() == {}


@pytest.fixture
def draw(bank: Bank) -> PriceVersion:
    """Four cents a picture."""
    return price({"image": "0.04"}, name="acme/draw")


def wants(bank: Bank, draw: PriceVersion, images: int, **changes: Any) -> Admission:  # noqa: ANN401 — fields
    bound = Bound(price=draw, input_tokens=60, output_tokens=0, images=images)
    given = {"bounds": (bound,), "endpoint": "images", "expires_s": 3600.0, **changes}
    return bank.wants(0, **given)


def made(bank: Bank, draw: PriceVersion, hold: Hold, images: int, **changes: Any) -> Settlement:  # noqa: ANN401 — fields
    given = {
        "usage": Usage(images=images),
        "price": draw,
        "model": "acme/draw",
        "endpoint": "images",
        "variant": ("1024x1024", "hd"),
        **changes,
    }
    return bank.used(hold, 0, **given)


def placed(admission: Admission) -> Hold:
    with transaction.atomic():
        return api.place_hold(admission)


def settled(settlement: Settlement) -> None:
    with transaction.atomic():
        api.settle_hold(settlement)


def test_a_hold_stands_as_long_as_it_is_asked_to(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)

    hold = placed(wants(bank, draw, 3))

    assert (hold.amount, hold.price_version) == (120_000_000, draw.id)
    assert bank.balance().held == 120_000_000
    (found,) = rows("SELECT owner, extract(epoch FROM expires_at - created_at)::int FROM hold")
    assert found == ("jobs", 3600)


def test_a_hold_commits_with_its_job_or_not_at_all(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)

    with transaction.atomic():
        api.place_hold(wants(bank, draw, 1))
        transaction.set_rollback(True)

    assert bank.balance().held == 0
    assert rows("SELECT count(*) FROM hold") == [(0,)]


@pytest.mark.parametrize("work", [api.place_hold, api.settle_hold])
def test_neither_is_done_outside_a_transaction(
    bank: Bank, draw: PriceVersion, work: Callable[[Any], object]
) -> None:
    bank.credit(1_000_000_000)
    admission = wants(bank, draw, 1)
    hold = placed(admission)

    with pytest.raises(transaction.TransactionManagementError):
        work(admission if work is api.place_hold else made(bank, draw, hold, 1))


def test_the_same_request_has_one_hold(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)
    request = wants(bank, draw, 2)

    assert placed(request) == placed(request)
    assert bank.balance().held == 80_000_000


def test_a_job_pays_for_what_was_delivered_and_has_the_rest_back(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 3))

    settled(made(bank, draw, hold, 2, outcome=Outcome.PARTIAL))

    assert (bank.balance().posted, bank.balance().held) == (920_000_000, 0)
    ((outcome, *amounts, by),) = rows(OUTCOME)
    assert (outcome, *amounts) == (5, 80_000_000, 80_000_000, 0)
    assert by.startswith("jobs:")
    assert rows("SELECT images, output_cost_nano FROM usage_event") == [(2, 80_000_000)]


def test_settling_again_changes_nothing(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 3))
    settled(made(bank, draw, hold, 2))

    settled(made(bank, draw, hold, 3))

    assert bank.balance().posted == 920_000_000
    assert rows("SELECT count(*) FROM settlement") == [(1,)]


def test_a_settlement_that_is_rolled_back_leaves_the_hold(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 3))

    with transaction.atomic():
        api.settle_hold(made(bank, draw, hold, 3))
        transaction.set_rollback(True)
    assert bank.balance().held == 120_000_000

    settled(made(bank, draw, hold, 3, outcome=Outcome.VOIDED, status="upstream_error"))
    assert (bank.balance().posted, bank.balance().held) == (1_000_000_000, 0)


def test_a_charge_above_the_hold_is_ours_and_an_alert_once_it_is_committed(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 1))
    alerts = metrics.ALERTS.value((Kind.OVERAGE.value,))

    with transaction.atomic():
        api.settle_hold(made(bank, draw, hold, 2))
        assert metrics.ALERTS.value((Kind.OVERAGE.value,)) == alerts

    assert metrics.ALERTS.value((Kind.OVERAGE.value,)) == alerts + 1
    assert rows(OUTCOME)[0][1:4] == (80_000_000, 40_000_000, 40_000_000)


def test_texts_that_postgresql_cannot_keep_do_not_keep_a_job_from_ending(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 1))
    usage = Usage(images=1, raw=msgspec.Raw(b'{"half": "\\ud800"}'))

    settled(made(bank, draw, hold, 1, usage=usage))

    assert rows("SELECT images, usage_raw FROM usage_event") == [(1, None)]


def test_the_sweeper_leaves_a_standing_hold_alone_until_its_own_expiry(
    bank: Bank, draw: PriceVersion, settings: Settings
) -> None:
    settings.CCAPI_HOLD_TTL_S = 0.0
    bank.credit(1_000_000_000)
    short, long = (placed(wants(bank, draw, 1, expires_s=seconds)) for seconds in (None, 60.0))

    assert rows(SWEEP) == [(short.request_id,)]
    rows("UPDATE hold SET expires_at = clock_timestamp() - interval '1 second'")
    assert rows(SWEEP) == [(long.request_id,)]
    assert bank.balance().held == 0


def test_what_is_known_after_the_expiry_is_charged_as_far_as_money_is_there(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(100_000_000)
    hold = placed(wants(bank, draw, 2, expires_s=0.0))
    rows(SWEEP)

    settled(made(bank, draw, hold, 2))

    assert bank.balance().posted == 20_000_000
    assert rows("SELECT images, characters, cost_nano FROM usage_rollup WHERE model = %s",
                "acme/draw") == [(2, 0, 80_000_000)]  # fmt: skip


@pytest.mark.parametrize(
    ("credit", "images", "error", "details"),
    [
        (0, 1, PaymentRequired, {"affordable_images": 0}),
        (90_000_000, 5, RequestExceedsBalance, {"affordable_images": 2}),
        (30_000_000, 5, PaymentRequired, {"affordable_images": 0}),
    ],
)
def test_who_has_too_little_is_told_how_many_pictures_the_money_covers(
    bank: Bank,
    draw: PriceVersion,
    credit: int,
    images: int,
    error: type[PaymentRequired],
    details: dict[str, int],
) -> None:
    if credit:
        bank.credit(credit)

    with pytest.raises(PaymentRequired) as told:
        placed(wants(bank, draw, images))

    assert type(told.value) is error
    assert told.value.details is not None
    assert {name: told.value.details[name] for name in details} == details
    assert "affordable_max_tokens" not in told.value.details


def test_money_that_other_requests_hold_is_waited_for(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(100_000_000)
    placed(wants(bank, draw, 2))

    with pytest.raises(InFlightReservations):
        placed(wants(bank, draw, 1))


def test_speech_is_refused_with_how_many_characters_the_money_covers(bank: Bank) -> None:
    bank.credit(1_000_000)
    voice = price({"input_characters": "15"}, name="acme/voice")
    bound = Bound(price=voice, input_tokens=0, output_tokens=0, characters=500)

    with pytest.raises(RequestExceedsBalance) as told:
        running(lambda: api.admit(bank.wants(0, bounds=(bound,), output_is_stated=False)))

    assert told.value.details is not None
    assert told.value.details["affordable_characters"] == 66
    assert "max_tokens" not in told.value.message


def refusal(admission: Admission) -> GatewayError:
    with pytest.raises(GatewayError) as told:
        placed(admission)
    return told.value


def test_a_suspended_wallet_and_a_model_without_a_price_are_refused(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(1_000_000_000)
    unpriced = Bound(price=bank.price, input_tokens=1, output_tokens=0, images=1)
    voiceless = msgspec.structs.replace(unpriced, price=draw, images=0, characters=1)

    assert isinstance(refusal(wants(bank, draw, 1, bounds=(voiceless,))), ModelNotPriced)
    rows("UPDATE wallet SET status = 2 WHERE organization_id = %s", bank.organization)
    assert isinstance(refusal(wants(bank, draw, 1)), AccountSuspended)


def test_a_resolved_request_gets_no_hold_again(bank: Bank, draw: PriceVersion) -> None:
    bank.credit(1_000_000_000)
    request = wants(bank, draw, 1)
    settled(made(bank, draw, placed(request), 1))

    assert isinstance(refusal(request), BillingUnavailable)


def test_a_wallet_that_somebody_else_locks_is_not_waited_for_long(
    bank: Bank, draw: PriceVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.standing.LOCK_MS", 100)
    bank.credit(1_000_000_000)
    locked, done = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            rows("SELECT 1 FROM wallet WHERE organization_id = %s FOR UPDATE", bank.organization)
            locked.set()
            done.wait(10)
        connection.close()

    other = threading.Thread(target=hold_the_lock)
    other.start()
    locked.wait(10)
    try:
        assert isinstance(refusal(wants(bank, draw, 1)), BillingUnavailable)
    finally:
        done.set()
        other.join()
    assert placed(wants(bank, draw, 1)).amount == 40_000_000


def test_the_callers_own_patience_with_locks_is_left_as_it_was(
    bank: Bank, draw: PriceVersion
) -> None:
    bank.credit(1_000_000_000)

    with transaction.atomic():
        rows("SET LOCAL lock_timeout = '7s'")
        api.place_hold(wants(bank, draw, 1))
        assert rows("SHOW lock_timeout") == [("7s",)]


def test_nothing_is_held_while_too_much_waits_to_be_settled(
    bank: Bank, draw: PriceVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.credit(1_000_000_000)
    monkeypatch.setattr(ledger, "backlog", lambda: (0, ledger.UNSETTLED_S_MAX + 1))

    assert isinstance(refusal(wants(bank, draw, 1)), BillingUnavailable)


def test_a_receipt_tells_pictures_and_their_price_each(
    bank: Bank, draw: PriceVersion, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "billing.urls"
    bank.credit(1_000_000_000)
    hold = placed(wants(bank, draw, 3))
    settled(made(bank, draw, hold, 2))

    answer = Client().get(
        f"/generations/{generation_id(hold.request_id)}",
        headers={"authorization": f"Bearer {bank.secret}"},
    ).json()  # fmt: skip
    leave()

    assert answer["usage"] == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "images": 2,
        "characters": 0,
        "image_size": "1024x1024",
        "image_quality": "hd",
        "buckets": {"images": 2, "requests": 1},
    }
    assert answer["prices"] == {"currency": "USD", "unit": "per_image", "image": "0.04"}
    assert (answer["output_cost"], answer["cost"]) == ("0.08", "0.08")


def test_a_variant_is_charged_at_its_own_price_and_the_audit_finds_it_right(bank: Bank) -> None:
    bank.credit(1_000_000_000)
    catalog.import_document(
        {
            "providers": [provider("studio")],
            "models": [
                model(
                    "studio/draw",
                    type="image",
                    prices={"image": "0.04"},
                    variants={"1024x1024/hd": {"image": "0.08"}, "auto": {"image": "0.06"}},
                )
            ],
        }
    )
    paid = catalog.current_sync().models["studio/draw"].price
    assert paid is not None
    open_bound = Bound(price=paid, input_tokens=0, output_tokens=0, images=2)
    hold = placed(bank.wants(0, bounds=(open_bound,), expires_s=60.0))
    assert hold.amount == 160_000_000  # the size is not said: at the dearest

    settled(made(bank, paid, hold, 2, model="studio/draw", variant=("1024x1024", "hd")))
    hold = placed(bank.wants(0, bounds=(open_bound,), expires_s=60.0))
    settled(made(bank, paid, hold, 2, model="studio/draw", variant=("", "hd")))

    assert rows("SELECT charge_nano FROM usage_event ORDER BY request_id") == [
        (160_000_000,),
        (120_000_000,),
    ]


def test_spoken_characters_are_charged_counted_and_told(bank: Bank) -> None:
    bank.credit(1_000_000_000)
    voice = price({"input_characters": "15"}, name="acme/voice")
    bound = Bound(price=voice, input_tokens=0, output_tokens=0, characters=500)

    async def speak() -> None:
        hold = await api.admit(bank.wants(0, bounds=(bound,)))
        usage = Usage(characters=400)
        api.settle(bank.used(hold, 0, usage=usage, price=voice, model="acme/voice"))

    running(speak)

    assert bank.balance().posted == 1_000_000_000 - 400 * 15_000
    assert rows("SELECT characters, input_cost_nano FROM usage_event") == [(400, 6_000_000)]
    assert rows("SELECT images, characters FROM usage_rollup") == [(0, 400)]


def test_a_line_of_an_older_process_is_one_without_pictures(bank: Bank) -> None:
    """Spooled by a process of before, replayed by one of now."""
    bank.credit(1_000_000)
    hold = running(lambda: api.admit(bank.wants(10)))
    line = msgspec.json.decode(records.encode(bank.used(hold, 7)))
    del line["images"], line["characters"]

    found = rows(
        "SELECT verdict FROM settle_batch_v2(%s, 'test')", msgspec.json.encode([line]).decode()
    )

    assert found == [("settled",)]
    assert rows("SELECT images, characters, charge_nano FROM usage_event") == [(0, 0, 14_000)]


def test_an_older_process_still_settles_beside_us(bank: Bank) -> None:
    bank.credit(1_000_000)
    hold = running(lambda: api.admit(bank.wants(10)))
    line = records.encode(bank.used(hold, 7)).decode()

    assert rows("SELECT verdict FROM settle_batch_v1(%s, 'test')", f"[{line}]") == [("settled",)]
