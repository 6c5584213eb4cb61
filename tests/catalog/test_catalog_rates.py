"""Price versions as values: variants in force, and those of the past for work that goes on."""

from catalog import api, prices
from catalog.models import Model, PriceVersion
from catalog.types import Rate
from tests.catalog.catalog_documents import model, provider

DRAW = {
    "providers": [provider("alpha")],
    "models": [
        model(
            "alpha/draw",
            type="image",
            prices={"image": "0.04"},
            variants={"1024x1024/hd": {"image": "0.08"}, "auto": {"image": "0.06"}},
        )
    ],
}


def test_a_snapshot_has_the_variants_of_a_price(db: None) -> None:
    api.import_document(DRAW)

    price = api.current_sync().models["alpha/draw"].price

    assert price is not None
    assert dict(price.rates) == {"image": Rate(4 * 10**10, 1)}
    assert {tuple(each.fields.items()): dict(each.rates) for each in price.variants} == {
        (("size", "1024x1024"), ("quality", "hd")): {"image": Rate(8 * 10**10, 1)},
        (("size", "auto"),): {"image": Rate(6 * 10**10, 1)},
    }


def test_a_price_of_the_past_is_read_as_it_was(db: None) -> None:
    api.import_document(DRAW)
    before = api.current_sync().models["alpha/draw"].price
    assert before is not None
    dearer = {**DRAW["models"][0], "prices": {"image": "0.40"}, "variants": {}}
    api.import_document({"models": [dearer]})

    now = api.current_sync().models["alpha/draw"].price

    assert now is not None
    assert now != before
    assert api.price_version(before.id) == before
    assert api.price_version(now.id) == now


def test_a_tier_has_every_rate_in_a_version_of_the_past_as_well(db: None) -> None:
    tiers = [{"above_input_tokens": 9, "prices": {"input": "3"}}]
    api.import_document(
        {"providers": [provider("alpha")], "models": [model("alpha/one", tiers=tiers)]}
    )
    price = api.current_sync().models["alpha/one"].price

    assert price is not None
    assert api.price_version(price.id) == price
    assert dict(price.tiers[0].rates) == {
        "input": Rate(3 * 10**12),
        "output": Rate(2 * 10**12),
    }


def test_a_draft_and_a_number_of_nobody_are_no_prices(db: None) -> None:
    api.import_document(DRAW)
    draft = PriceVersion.objects.create(model=Model.objects.get(catalog_id="alpha/draw"))

    assert api.price_version(draft.pk) is None
    assert api.price_version(10**9) is None
    assert prices.current(draft.model) is not None
