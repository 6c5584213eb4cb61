"""Importing: the same twice changes nothing, a mistake changes nothing, export goes back in."""

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.db import connection

from catalog import api, prices, upstream_keys
from catalog.models import CatalogSettings, Model, Provider, UpstreamKey
from tests.catalog.catalog_documents import model, provider, small


def revision() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT revision FROM catalog_revision")
        (found,) = cursor.fetchone()
    return int(found)


def sells(model_id: str) -> dict[str, Decimal]:
    version = prices.current(Model.objects.get(catalog_id=model_id))
    assert version is not None
    return {row.unit: row.sell_price for row in version.components.all()}


@pytest.mark.django_db
def test_what_changed_is_told() -> None:
    changes = api.import_document(small())

    assert "provider alpha" in changes.created
    assert "model alpha/one" in changes.created
    assert "price alpha/one" in changes.created
    assert changes.updated == ()
    assert changes.not_configured == ("waits",)
    assert changes.summary().endswith(f"{len(changes.created)} created, 0 updated, 0 unchanged")


def test_the_same_document_again_changes_nothing(catalog: None) -> None:
    before = revision()

    changes = api.import_document(small())

    assert (changes.created, changes.updated) == ((), ())
    assert len(changes.unchanged) == 16
    assert revision() == before


def test_a_changed_row_is_updated_and_no_other(catalog: None) -> None:
    wanted = small()
    wanted["providers"][1]["timeouts"] = {"idle": 5}
    wanted["models"][1]["context_length"] = 4000

    changes = api.import_document(wanted)

    assert changes.updated == ("provider beta", "model alpha/two")
    assert changes.created == ()
    assert Provider.objects.get(name="beta").idle_timeout_s == 5
    assert Model.objects.get(catalog_id="alpha/two").context_length == 4000


def test_a_document_with_one_mistake_changes_nothing_at_all(catalog: None) -> None:
    before = revision()
    wanted = small()
    wanted["providers"].append(provider("gamma"))
    wanted["models"] += [model("gamma/x"), model("nowhere/x")]

    with pytest.raises(api.DocumentError, match=r"models\[7\].id: there is no provider 'nowhere'"):
        api.import_document(wanted)

    assert not Provider.objects.filter(name="gamma").exists()
    assert revision() == before


def test_a_new_model_needs_prices_and_an_old_one_keeps_its_own(catalog: None) -> None:
    old, new = model("alpha/one"), model("alpha/new")
    del old["prices"], new["prices"]

    api.import_document({"models": [old]})
    with pytest.raises(api.DocumentError, match=r"models\[0\].prices: is missing"):
        api.import_document({"models": [new]})

    assert sells("alpha/one")["input"] == Decimal("1.00")


def test_keys_are_replaced_kept_and_never_stored_as_they_are(catalog: None) -> None:
    alpha = Provider.objects.get(name="alpha")
    assert upstream_keys.stored(alpha) == ("key-of-alpha-0123456789",)
    row = UpstreamKey.objects.get(provider=alpha)
    assert b"key-of-alpha" not in bytes(row.ciphertext)
    assert row.last4 == "6789"

    api.import_document({"providers": [provider("alpha", api_key="keep")]})
    assert upstream_keys.stored(alpha) == ("key-of-alpha-0123456789",)

    api.import_document({"providers": [provider("alpha", api_key=["one", "two"])]})
    assert upstream_keys.stored(Provider.objects.get(name="alpha")) == ("one", "two")


def test_offers_are_exactly_those_of_the_document(catalog: None) -> None:
    wanted = model(
        "alpha/one",
        offers=[
            {
                "provider": "beta",
                "upstream_model": "b-one",
                "priority": 1,
                "costs": {"input": "0.9"},
            },
            {"provider": "alpha", "priority": 0},
        ],
    )
    api.import_document({"models": [wanted]})

    found = api.current_sync().models["alpha/one"].offers
    assert [(each.provider.name, each.upstream_model) for each in found] == [
        ("alpha", "one"),
        ("beta", "b-one"),
    ]
    assert api.import_document({"models": [wanted]}).updated == ()

    api.import_document({"models": [model("alpha/one", upstream_model="renamed")]})
    found = api.current_sync().models["alpha/one"].offers
    assert [each.upstream_model for each in found] == ["renamed"]


def test_costs_default_to_prices_over_the_markup(db: None) -> None:
    api.import_document(
        {
            "markup": "1.25",
            "providers": [provider("alpha")],
            "models": [model("alpha/one", costs={"output": "0.70"})],
        }
    )

    version = prices.current(Model.objects.get(catalog_id="alpha/one"))
    assert version is not None
    costs = {row.unit: row.cost_price for row in version.components.all()}
    assert costs == {"input": Decimal("0.8"), "output": Decimal("0.7")}


def test_defaults_for_new_organizations_are_stored(db: None) -> None:
    api.import_document({"defaults": {"rpm": 5, "tpm": 6, "concurrent": 7}})

    row = CatalogSettings.objects.get()
    assert (row.default_rpm, row.default_tpm, row.default_concurrent) == (5, 6, 7)


def full() -> dict[str, Any]:
    """Everything that a file can say in this version."""
    found = small()
    return found | {
        "markup": "1.10",
        "defaults": {"rpm": 1, "tpm": 2, "concurrent": 3},
        "models": [
            *found["models"],
            model(
                "alpha/tiered",
                prices={"input": "0.0375", "output": "1.333333333333", "web_search": "0.01"},
                tiers=[
                    {"above_input_tokens": 9, "prices": {"input": "0.2"}, "costs": {"input": "0.1"}}
                ],
                variants={"flex": {"input": "0.01"}, "1024x1024/hd": {"image": "0.08"}},
                offers=[{"provider": "beta", "upstream_model": "b", "weight": 3}],
                enabled=False,
                priority=-2,
            ),
        ],
    }


def test_what_is_exported_goes_back_in_unchanged(db: None) -> None:
    api.import_document(full())
    before = revision()

    text = yaml.safe_dump(api.export_document(), sort_keys=False)
    changes = api.import_text(text)

    assert (changes.created, changes.updated) == ((), ())
    assert revision() == before
    assert "key-of-alpha" not in text


def test_what_is_exported_makes_the_same_catalog_elsewhere(db: None) -> None:
    api.import_document(full())
    exported = api.export_document()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "TRUNCATE provider, upstream_key, model, offer, price_version, price_component"
        )

    api.import_document(exported)

    assert api.export_document() == exported


def test_the_command_seeds_and_enables_the_sandbox_where_it_is_told_to(db: None) -> None:
    first, second = StringIO(), StringIO()
    call_command("catalog", "seed", "--sandbox", "http://sandbox:8090/v1", stdout=first)
    call_command("catalog", "seed", stdout=second)

    sandbox = Provider.objects.get(name="sandbox")
    assert "created model sandbox/echo" in first.getvalue()
    assert "0 created, 0 updated" in second.getvalue()
    assert (sandbox.enabled, sandbox.base_url) == (True, "http://sandbox:8090/v1")
    with pytest.raises(CommandError, match="is no base URL"):
        call_command("catalog", "seed", "--sandbox", "sandbox:8090", stdout=second)


def test_the_command_imports_exports_and_names_the_line(db: None, tmp_path: Path) -> None:
    file, out = tmp_path / "catalog.yaml", StringIO()
    file.write_text(yaml.safe_dump(small()), encoding="utf-8")
    call_command("catalog", "import", str(file), stdout=out)
    assert "created model alpha/one" in out.getvalue()
    assert "not configured: provider waits" in out.getvalue()

    exported = StringIO()
    call_command("catalog", "export", stdout=exported)
    assert "api_key: keep" in exported.getvalue()

    file.write_text("markup: '1'\nmodells: []\n", encoding="utf-8")
    with pytest.raises(
        CommandError, match=r"line 2: modells: is unknown here\nNothing was changed"
    ):
        call_command("catalog", "import", str(file))
    with pytest.raises(CommandError, match="No such file"):
        call_command("catalog", "import", str(tmp_path / "none.yaml"))
