"""The snapshot: what is in it, what a name means, and that a broken row harms nobody else."""

import pytest
from django.db import connection

from catalog import api
from catalog.models import Model, UpstreamKey
from ccapi.core.errors import ModelNotFound, ProviderNotFound
from tests.catalog.catalog_documents import model, provider


def test_only_what_can_be_called_is_in_it(catalog: None) -> None:
    snapshot = api.current_sync()

    assert set(snapshot.providers) == {"alpha", "beta"}
    assert set(snapshot.models) == {"alpha/one", "alpha/two", "beta/one", "beta/draw"}


def test_a_disabled_model_leaves_and_a_keyless_server_comes(catalog: None) -> None:
    keyless = provider("waits")
    del keyless["api_key"]
    api.import_document({"providers": [keyless], "models": [model("alpha/one", enabled=False)]})

    snapshot = api.current_sync()
    assert "alpha/one" not in snapshot.models
    assert snapshot.providers["waits"].api_keys == ()
    assert "waits/one" in snapshot.models


def test_a_model_is_there_while_any_of_its_offers_is(catalog: None) -> None:
    offers = [{"provider": "off"}, {"provider": "beta", "upstream_model": "b"}]
    api.import_document({"models": [model("off/one", offers=offers)]})

    found = api.current_sync().models["off/one"]
    assert [offer.provider.name for offer in found.offers] == ["beta"]


def test_a_name_is_a_catalog_id_or_else_a_bare_name(catalog: None) -> None:
    snapshot = api.current_sync()

    assert api.resolve(snapshot, "beta/one").id == "beta/one"
    assert api.resolve(snapshot, "two").id == "alpha/two"


def test_a_bare_name_of_several_means_the_lowest_priority_then_the_first_name(
    catalog: None,
) -> None:
    assert api.resolve(api.current_sync(), "one").id == "alpha/one"

    api.import_document({"models": [model("beta/one", priority=-1)]})

    assert api.resolve(api.current_sync(), "one").id == "beta/one"


def test_an_unknown_name_names_near_ids(catalog: None) -> None:
    with pytest.raises(ModelNotFound) as caught:
        api.resolve(api.current_sync(), "alpha/ome")

    assert "Similar: alpha/one" in caught.value.message
    assert caught.value.details["similar"][0] == "alpha/one"


def test_an_endless_unknown_name_is_not_repeated_in_full(catalog: None) -> None:
    with pytest.raises(ModelNotFound) as caught:
        api.resolve(api.current_sync(), "x" * 9999)

    assert len(caught.value.message) < 999


def test_an_endpoint_enables_a_provider_and_none_disables_it(catalog: None) -> None:
    api.set_endpoint("off", "http://127.0.0.1:9/v1/")
    assert api.current_sync().providers["off"].base_url == "http://127.0.0.1:9/v1"

    api.set_endpoint("off", None)
    assert "off" not in api.current_sync().providers
    with pytest.raises(ProviderNotFound):
        api.set_endpoint("nobody", None)
    with pytest.raises(ValueError, match="no base URL"):
        api.set_endpoint("off", "127.0.0.1")


def test_a_key_that_does_not_open_leaves_its_provider_as_it_was(catalog: None) -> None:
    api.current_sync()
    UpstreamKey.objects.filter(provider__name="alpha").update(ciphertext=b"\x01damaged")
    api.import_document({"models": [model("beta/new")]})

    snapshot = api.current_sync()

    assert snapshot.providers["alpha"].api_keys == ("key-of-alpha-0123456789",)
    assert "beta/new" in snapshot.models  # the rest goes on


def test_a_key_that_never_opened_leaves_only_its_provider_out(
    catalog: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.follower._process", None)
    UpstreamKey.objects.filter(provider__name="alpha").update(ciphertext=b"\x01damaged")

    assert set(api.current_sync().providers) == {"beta"}


def test_a_broken_field_leaves_its_row_as_it_was(catalog: None) -> None:
    api.current_sync()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE provider SET headers = '[1]' WHERE name = 'beta'")
        cursor.execute("UPDATE provider SET display_name = 'New' WHERE name = 'alpha'")

    snapshot = api.current_sync()

    assert snapshot.providers["beta"].headers == ()
    assert snapshot.providers["alpha"].display_name == "New"


def test_every_table_bumps_the_revision(catalog: None) -> None:
    seen = {api.current_sync().revision}
    for table in (
        "provider",
        "upstream_key",
        "model",
        "offer",
        "price_version",
        "catalog_settings",
    ):
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET id = id WHERE false")  # noqa: S608 — from above
        revision = api.current_sync().revision
        assert revision not in seen
        seen.add(revision)


def test_a_model_without_a_price_is_there_and_cannot_be_charged(catalog: None) -> None:
    alpha = Model.objects.get(catalog_id="alpha/one")
    Model.objects.create(catalog_id="alpha/bare", provider=alpha.provider, display_name="Bare")
    bare = Model.objects.get(catalog_id="alpha/bare")
    bare.offers.create(provider=alpha.provider, upstream_model="bare")

    assert api.current_sync().models["alpha/bare"].price is None
