import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import path as route

from accounts import api, keys
from accounts.models import ApiKey, Organization, User
from accounts.types import NewKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [route("admin/", admin.site.urls)]


@pytest.fixture
def browser() -> Client:
    api.ensure_admin("admin@example.com", "a long passphrase")
    client = Client()
    client.force_login(User.objects.get(email="admin@example.com"))
    return client


@pytest.fixture
def key() -> NewKey:
    organization = api.create_organization("Example", "owner@example.com")
    return api.create_key(organization, name="first")


def page(browser: Client, path: str) -> str:
    response = browser.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def test_a_person_logs_in_with_an_address_in_any_case() -> None:
    api.ensure_admin("admin@example.com", "a long passphrase")
    client = Client()

    login = {"username": "Admin@Example.com", "password": "a long passphrase"}
    response = client.post("/admin/login/?next=/admin/", login)

    assert response.status_code == 302
    assert "API keys" in page(client, "/admin/")


def test_every_page_opens_and_none_shows_a_mac(browser: Client, key: NewKey) -> None:
    row = ApiKey.objects.get()

    for name in ("user", "organization", "membership", "apikey"):
        pages = [
            page(browser, f"/admin/accounts/{name}/"),
            page(browser, f"/admin/accounts/{name}/add/"),
        ]
        pages.append(page(browser, f"/admin/accounts/{name}/?q=example"))
        for text in pages:
            assert key.secret not in text
            assert bytes(row.mac).hex() not in text
    for path in (
        f"/admin/accounts/apikey/{row.pk}/change/",
        f"/admin/accounts/apikey/{row.pk}/history/",
        f"/admin/accounts/organization/{row.organization_id}/change/",
        f"/admin/accounts/user/{User.objects.get(email='owner@example.com').pk}/change/",
    ):
        text = page(browser, path)
        assert key.secret not in text
        assert key.secret[14:40] not in text
        assert bytes(row.mac).hex() not in text


def test_a_new_keys_secret_is_shown_exactly_once(browser: Client) -> None:
    api.create_organization("Example", "owner@example.com")
    form = {
        "organization": Organization.objects.get().pk,
        "name": "from the admin",
        "allowed_models": "sandbox/echo,openai/gpt-4o-mini",
        "expires_at_0": "",
        "expires_at_1": "",
    }

    response = browser.post("/admin/accounts/apikey/add/", form, follow=True)

    found = re.findall(r"sk-cc-[0-9A-Za-z]{46}", response.content.decode())
    assert len(found) == 1
    secret = found[0]
    row = ApiKey.objects.get()
    assert keys.parse(secret)
    assert row.prefix == secret[6:14]
    assert row.allowed_models == ["sandbox/echo", "openai/gpt-4o-mini"]
    assert row.created_by == User.objects.get(email="admin@example.com")
    assert "no-store" in response.headers["cache-control"]
    assert secret not in str(response.cookies)
    for path in ("/admin/", "/admin/accounts/apikey/", f"/admin/accounts/apikey/{row.pk}/change/"):
        assert secret not in page(browser, path)


def test_keys_are_revoked_by_an_action_and_cannot_be_deleted(browser: Client, key: NewKey) -> None:
    row = ApiKey.objects.get()

    browser.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": row.pk})

    row.refresh_from_db()
    assert row.revoked_at is not None
    assert "revoked" in page(browser, "/admin/accounts/apikey/?state=revoked")
    assert key.secret[6:14] not in page(browser, "/admin/accounts/apikey/?state=active")
    assert browser.get(f"/admin/accounts/apikey/{row.pk}/delete/").status_code == 403


def test_organizations_are_suspended_and_reactivated_by_actions(
    browser: Client, key: NewKey
) -> None:
    row = Organization.objects.get()
    for action, status in (("suspend", "suspended"), ("reactivate", "active")):
        browser.post(
            "/admin/accounts/organization/", {"action": action, "_selected_action": row.pk}
        )
        row.refresh_from_db()
        assert row.status == status


def test_a_key_stays_with_its_organization(browser: Client, key: NewKey) -> None:
    api.create_organization("Other", "other@example.com")
    row = ApiKey.objects.get()
    other = Organization.objects.get(name="Other")

    browser.post(
        f"/admin/accounts/apikey/{row.pk}/change/",
        {"organization": other.pk, "name": "renamed", "allowed_models": ""},
    )

    row.refresh_from_db()
    assert row.name == "renamed"
    assert row.organization.name == "Example"


def test_a_person_is_added_by_address(browser: Client) -> None:
    browser.post(
        "/admin/accounts/user/add/",
        {
            "email": "New@Example.com",
            "name": "New",
            "usable_password": "true",
            "password1": "a long passphrase",
            "password2": "a long passphrase",
            "memberships-TOTAL_FORMS": "0",
            "memberships-INITIAL_FORMS": "0",
        },
    )

    assert User.objects.get(email="new@example.com").check_password("a long passphrase")


def test_limits_are_set_in_the_admin_and_a_key_s_may_be_left_empty(
    browser: Client, key: NewKey
) -> None:
    organization, row = Organization.objects.get(), ApiKey.objects.get()
    shown = page(browser, "/admin/accounts/organization/add/")
    members = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}

    browser.post(
        f"/admin/accounts/organization/{organization.pk}/change/",
        {"name": "Example", "status": "active", "timezone": "UTC", "rpm": "5", "tpm": "0"}
        | {"concurrent": "2", **members},
    )
    browser.post(
        f"/admin/accounts/apikey/{row.pk}/change/",
        {"name": "first", "allowed_models": "", "rpm": "3", "tpm": "", "concurrent": ""},
    )

    assert 'value="600"' in shown  # a new organization begins with the platform's limits
    organization.refresh_from_db()
    row.refresh_from_db()
    assert (organization.rpm, organization.tpm, organization.concurrent) == (5, 0, 2)
    assert (row.rpm, row.tpm, row.concurrent) == (3, None, None)


def test_the_right_to_manage_keys_is_given_in_the_admin(browser: Client, key: NewKey) -> None:
    row = ApiKey.objects.get()
    assert not row.manages_keys

    browser.post(
        f"/admin/accounts/apikey/{row.pk}/change/",
        {"name": "first", "allowed_models": "", "manages_keys": "on"},
    )

    row.refresh_from_db()
    assert row.manages_keys


def test_an_organization_s_page_leads_to_its_requests(browser: Client, key: NewKey) -> None:
    organization = Organization.objects.get()
    address = f"/admin/billing/usageevent/?q={organization.pk}"

    assert address in page(browser, f"/admin/accounts/organization/{organization.pk}/change/")
    page(browser, address)
