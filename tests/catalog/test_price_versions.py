"""Price versions: they never overlap, are never edited, and each holds from its own instant."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from catalog import api, prices
from catalog.models import Model, PriceComponent, PriceVersion
from catalog.types import Changes, Rate, Tier
from tests.catalog.catalog_documents import model

APPROVED = PriceVersion.Status.APPROVED


def versions(model_id: str = "alpha/one") -> list[PriceVersion]:
    return list(
        PriceVersion.objects.filter(model__catalog_id=model_id).order_by("effective_from", "id")
    )


def set_price(amount: str, effective_from: datetime | None = None) -> Changes:
    return api.import_document(
        {
            "models": [
                model(
                    "alpha/one",
                    context_length=1000,
                    prices={"input": amount, "output": "2.00"},
                    effective_from=effective_from,
                )
            ]
        }
    )


def in_(**time: float) -> datetime:
    return prices.database_now() + timedelta(**time)


def input_at(at: datetime) -> Decimal:
    version = prices.current(Model.objects.get(catalog_id="alpha/one"), at)
    assert version is not None
    return version.components.get(unit="input").sell_price


def refused(sql: str, *params: int) -> str:
    """What PostgreSQL says to a statement that it must refuse."""
    with (
        pytest.raises(IntegrityError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, params)
    return str(caught.value)


def test_a_new_price_is_a_new_version_and_the_old_one_ends(catalog: None) -> None:
    (first,) = versions()

    changes = set_price("1.50")

    assert changes.updated == ("price alpha/one",)
    old, new = versions()
    assert old.pk == first.pk
    assert old.effective_to == new.effective_from
    assert new.effective_to is None
    assert old.components.get(unit="input").sell_price == Decimal("1.00")
    assert new.components.get(unit="input").sell_price == Decimal("1.50")


def test_a_price_to_come_holds_from_its_instant_only(catalog: None) -> None:
    start = in_(hours=1)

    set_price("3.00", start)

    assert input_at(start - timedelta(seconds=1)) == Decimal("1.00")
    assert input_at(start) == Decimal("3.00")
    assert set_price("3.00", start).updated == ()
    assert api.current_sync().models["alpha/one"].price is not None


def test_a_price_from_now_holds_until_the_one_that_is_to_come(catalog: None) -> None:
    start = in_(hours=1)
    set_price("3.00", start)

    set_price("2.00")

    assert input_at(in_(minutes=1)) == Decimal("2.00")
    assert input_at(start) == Decimal("3.00")


def test_a_price_to_come_can_be_withdrawn_by_another_at_the_same_instant(catalog: None) -> None:
    start = in_(hours=1)
    set_price("3.00", start)

    set_price("4.00", start)

    assert input_at(start) == Decimal("4.00")
    assert [each.status for each in versions()] == ["approved", "retired", "approved"]


def test_a_price_for_time_that_has_passed_is_refused(catalog: None) -> None:
    before = versions()

    with pytest.raises(api.DocumentError, match=r"models\[0\].effective_from: .* has passed"):
        set_price("9.00", versions()[0].effective_from + timedelta(microseconds=1))

    assert versions() == before


def test_the_first_price_of_a_model_may_begin_in_the_past(catalog: None) -> None:
    api.import_document({"models": [model("alpha/new", effective_from=in_(days=-30))]})

    assert api.current_sync().models["alpha/new"].price is not None


def test_postgresql_refuses_overlapping_approved_versions(catalog: None) -> None:
    (first,) = versions()

    said = refused(
        "INSERT INTO price_version (model_id, effective_from, status, source, approved_by,"
        " created_at) VALUES (%s, now() + interval '1 day', 'approved', '', '', now())",
        first.model_id,
    )

    assert "price_version_approved_never_overlap" in said


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE price_component SET sell_price = 0", "never edited"),
        ("DELETE FROM price_component", "never edited"),
        ("UPDATE price_version SET effective_from = now() - interval '1 day'", "new version"),
        ("UPDATE price_version SET status = 'draft'", "can be withdrawn"),
        ("UPDATE price_version SET status = 'retired'", "can be withdrawn"),
        ("UPDATE price_version SET effective_to = now() - interval '1 hour',"
         " effective_from = effective_from", "cannot be ended in the past"),
        ("UPDATE price_version SET model_id = model_id + 1", "new version"),
        ("DELETE FROM price_version", "never deleted"),
        ("INSERT INTO price_component (price_version_id, unit, cost_price, sell_price, per,"
         " tier_start, variant) SELECT id, 'request', 0, 1, 1, 0, '{}' FROM price_version",
         "never edited"),
    ],
)  # fmt: skip
def test_postgresql_refuses_to_edit_an_approved_price(
    catalog: None, statement: str, reason: str
) -> None:
    assert reason in refused(statement)


def test_a_version_that_has_ended_stays_ended(catalog: None) -> None:
    set_price("1.50")
    old, new = versions()

    said = refused("UPDATE price_version SET effective_to = NULL WHERE id = %s", old.pk)

    assert "cannot be ended in the past" in said
    assert new.status == APPROVED


def test_prices_reach_the_snapshot_exactly(catalog: None) -> None:
    api.import_document(
        {
            "models": [
                model(
                    "alpha/one",
                    prices={"input": "0.0375", "output": "1.333333333333", "web_search": "0.01"},
                    tiers=[{"above_input_tokens": 200_000, "prices": {"input": "0.075"}}],
                    variants={"flex": {"input": "0.01"}},
                )
            ]
        }
    )

    price = api.current_sync().models["alpha/one"].price
    assert price is not None
    assert dict(price.rates) == {
        "input": Rate(37_500_000_000, 1_000_000),
        "output": Rate(1_333_333_333_333, 1_000_000),
        "web_search": Rate(10_000_000_000, 1),
    }
    (tier,) = price.tiers
    assert isinstance(tier, Tier)
    assert tier.above_input_tokens == 200_000
    assert tier.rates["input"] == Rate(75_000_000_000, 1_000_000)
    assert tier.rates["output"] == price.rates["output"]  # a tier has every rate


def test_a_component_is_for_the_number_that_its_unit_is_priced_for(catalog: None) -> None:
    assert set(PriceComponent.objects.filter(unit="image").values_list("per", flat=True)) == {1}
    assert set(PriceComponent.objects.filter(unit="input").values_list("per", flat=True)) == {
        1_000_000
    }
