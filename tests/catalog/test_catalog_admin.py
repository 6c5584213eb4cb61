"""The admin's pages: keys go in and never out, a price is added and never edited."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import api as accounts
from accounts.models import User
from catalog import api, prices, upstream_keys
from catalog.models import CatalogSettings, Model, PriceVersion, Provider
from ccapi.core.alerts import Kind, Told, telling
from ccapi.core.alerts.models import Alert


@pytest.fixture
def admin(catalog: None) -> Client:
    accounts.ensure_admin("admin@example.com", "a-long-password-1")
    client = Client()
    client.force_login(User.objects.get(email="admin@example.com"))
    return client


def page(client: Client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(f"admin:catalog_{name}", args=args), query)
    assert response.status_code == 200, response
    return response.content.decode()


def fields_of(client: Client, name: str, *args: object, **query: str) -> dict[str, Any]:
    """What the page's forms would send as they stand."""
    response = client.get(reverse(f"admin:catalog_{name}", args=args), query)
    context = response.context
    forms = [context["adminform"].form]
    sent: dict[str, Any] = {}
    for inline in context["inline_admin_formsets"]:
        sent |= {f"{inline.formset.prefix}-{key}": value for key, value in (
            ("TOTAL_FORMS", inline.formset.total_form_count()),
            ("INITIAL_FORMS", inline.formset.initial_form_count()),
        )}  # fmt: skip
        forms += inline.formset.forms
    for form in forms:
        for field in form:
            value = field.value()
            if isinstance(value, bool):
                sent |= {field.html_name: "on"} if value else {}
            elif isinstance(value, list | tuple):
                sent |= {f"{field.html_name}_{i}": part or "" for i, part in enumerate(value)}
            else:
                sent[field.html_name] = "" if value is None else value
    return sent


def save(client: Client, name: str, sent: dict[str, Any], *args: object) -> Any:  # noqa: ANN401
    return client.post(reverse(f"admin:catalog_{name}", args=args), sent)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("provider_changelist", "not configured"),
        ("model_changelist", "input 1.00, output 2.00"),
        ("priceversion_changelist", "input 1.00, output 2.00"),
        ("catalogsettings_changelist", "catalog settings"),
        ("provider_add", "New keys"),
        ("model_add", "provider"),
        ("priceversion_add", "per million"),
    ],
)
def test_every_page_opens_and_tells_what_it_is_for(admin: Client, name: str, told: str) -> None:
    CatalogSettings.objects.get_or_create(pk=1)

    assert told in page(admin, name)


def test_a_page_never_shows_a_key(admin: Client) -> None:
    alpha = Provider.objects.get(name="alpha")

    html = page(admin, "provider_change", alpha.pk)

    assert "…6789" in html
    assert "key-of-alpha" not in html


def test_new_keys_replace_the_stored_and_an_empty_field_keeps_them(admin: Client) -> None:
    alpha = Provider.objects.get(name="alpha")
    sent = fields_of(admin, "provider_change", alpha.pk)
    assert sent["new_keys"] == ""

    assert save(admin, "provider_change", sent | {"display_name": "A"}, alpha.pk).status_code == 302
    assert upstream_keys.stored(alpha) == ("key-of-alpha-0123456789",)

    response = save(admin, "provider_change", sent | {"new_keys": "one\r\ntwo\n"}, alpha.pk)
    assert response.status_code == 302
    assert api.current_sync().providers["alpha"].api_keys == ("one", "two")
    assert [row.origin for row in alpha.keys.all()] == ["admin", "admin"]


def test_a_provider_is_made_with_its_key(admin: Client) -> None:
    sent = fields_of(admin, "provider_add") | {
        "name": "gamma", "display_name": "Gamma", "protocol": "anthropic",
        "base_url": "https://gamma.example/v1/", "new_keys": "g-1",
    }  # fmt: skip

    assert save(admin, "provider_add", sent).status_code == 302

    found = api.current_sync().providers["gamma"]
    assert (found.base_url, found.api_keys) == ("https://gamma.example/v1", ("g-1",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "ftp://x"),
        ("auth", "basic"),
        ("headers", '{"x": 1}'),
        ("query", "[1]"),
        ("name", "Not A Slug"),
        ("protocol", "gopher"),
        ("new_keys", "ключ"),
    ],
)
def test_a_wrong_field_is_refused_as_in_the_file(admin: Client, field: str, value: str) -> None:
    alpha = Provider.objects.get(name="alpha")
    sent = fields_of(admin, "provider_change", alpha.pk)

    response = save(admin, "provider_change", sent | {field: value}, alpha.pk)

    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert upstream_keys.stored(alpha) == ("key-of-alpha-0123456789",)


def price_of(admin: Client, model: Model, **amounts: str) -> dict[str, Any]:
    sent = fields_of(admin, "priceversion_add") | {"model": str(model.pk), "source": "by hand"}
    for index, (unit, amount) in enumerate(amounts.items()):
        sent |= {f"components-{index}-unit": unit, f"components-{index}-sell_price": amount}
    return sent


def test_adding_a_price_makes_a_new_version_and_ends_the_old(admin: Client) -> None:
    model = Model.objects.get(catalog_id="alpha/one")

    response = save(
        admin,
        "priceversion_add",
        price_of(admin, model, input="3.50", output="4", web_search="0.01"),
    )

    assert response.status_code == 302
    old, new = model.price_versions.order_by("effective_from")
    assert old.effective_to == new.effective_from
    assert (new.status, new.approved_by, new.source) == ("approved", "admin@example.com", "by hand")
    assert {row.unit: (row.sell_price, row.per) for row in new.components.all()} == {
        "input": (Decimal("3.50"), 1_000_000),
        "output": (Decimal(4), 1_000_000),
        "web_search": (Decimal("0.01"), 1),
    }
    price = api.current_sync().models["alpha/one"].price
    assert price is not None
    assert price.id == new.pk


def test_a_price_can_be_set_for_a_time_to_come(admin: Client) -> None:
    model = Model.objects.get(catalog_id="alpha/one")
    sent = price_of(admin, model, input="9", output="9")
    sent |= {"effective_from_0": "2100-01-01", "effective_from_1": "00:00:00"}

    assert save(admin, "priceversion_add", sent).status_code == 302

    version = prices.current(model)
    assert version is not None
    assert version.effective_to is not None
    assert version.effective_to.year == 2100


def test_a_price_that_leaves_out_what_would_be_free_is_refused(admin: Client) -> None:
    model = Model.objects.get(catalog_id="alpha/one")

    response = save(admin, "priceversion_add", price_of(admin, model, input="3.50"))

    assert response.status_code == 200
    assert "A price is missing for: output" in response.content.decode()
    assert model.price_versions.count() == 1


def test_a_price_of_pictures_has_variants_and_is_listed(admin: Client) -> None:
    draw = Model.objects.get(catalog_id="beta/draw")
    sent = price_of(admin, draw, image="0.05")
    sent |= {
        "components-1-unit": "image",
        "components-1-sell_price": "0.09",
        "components-1-variant": '{"size": "1024x1024", "quality": "hd"}',
    }

    assert save(admin, "priceversion_add", sent).status_code == 302

    price = api.current_sync().models["beta/draw"].price
    assert price is not None
    assert [dict(each.fields) for each in price.variants] == [
        {"size": "1024x1024", "quality": "hd"}
    ]
    listed = admin.get(reverse("admin:catalog_model_changelist")).content.decode()
    assert "image 0.05" in listed


@pytest.mark.parametrize("variant", ['{"quality": "hd"}', '{"size": "large"}', "[1]"])
def test_a_variant_that_no_file_could_say_is_refused(admin: Client, variant: str) -> None:
    draw = Model.objects.get(catalog_id="beta/draw")
    sent = price_of(admin, draw, image="0.05") | {"components-0-variant": variant}

    assert save(admin, "priceversion_add", sent).status_code == 200

    assert draw.price_versions.count() == 1


def test_an_approved_version_can_only_be_looked_at(admin: Client) -> None:
    version = PriceVersion.objects.filter(model__catalog_id="alpha/one").get()

    html = page(admin, "priceversion_change", version.pk)

    assert 'name="_save"' not in html
    assert "1.000000000000" in html
    sent = {"model": version.model_id, "source": "changed"}
    assert save(admin, "priceversion_change", sent, version.pk).status_code == 403
    assert save(admin, "priceversion_delete", {"post": "yes"}, version.pk).status_code == 403


def test_a_model_shows_its_offers_and_prices(admin: Client) -> None:
    model = Model.objects.get(catalog_id="alpha/one")

    html = page(admin, "model_change", model.pk)

    assert "Prices, newest first" in html
    assert "Set a new price" in html
    sent = fields_of(admin, "model_change", model.pk) | {"offers-0-upstream_model": "renamed"}
    assert save(admin, "model_change", sent, model.pk).status_code == 302
    assert api.current_sync().models["alpha/one"].offers[0].upstream_model == "renamed"


def test_a_provider_that_is_out_of_money_is_marked_until_the_alert_is_resolved(
    admin: Client,
) -> None:
    provider = Provider.objects.get(name="alpha")
    telling.store(Told(Kind.OUT_OF_MONEY, "alpha", "alpha has no money."))
    telling.store(Told(Kind.OVERAGE, "settlements", "A charge was above its hold."))

    assert page(admin, "provider_changelist").count("alpha has no money.") == 1
    assert "alpha has no money." in page(admin, "provider_change", provider.pk)
    Alert.objects.update(resolved_at=timezone.now())
    assert "alpha has no money." not in page(admin, "provider_changelist")
    assert "alpha has no money." not in page(admin, "provider_change", provider.pk)
