from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts import api, keys
from accounts.models import ApiKey, Membership, Organization, User
from accounts.types import Limits
from ccapi.core.errors import InvalidParameter, KeyNotFound, NotFound

pytestmark = pytest.mark.django_db


def test_an_organization_is_made_with_its_owner() -> None:
    public_id = api.create_organization("Example", "Owner@Example.com")

    organization = Organization.objects.get(public_id=public_id)
    assert api.organization_pk(public_id) == organization.pk
    assert public_id.startswith("org_")
    membership = Membership.objects.get(organization=organization)
    assert (membership.user.email, membership.role) == ("owner@example.com", "owner")
    assert not membership.user.has_usable_password()


def test_one_person_may_own_several_organizations() -> None:
    for name in ("One", "Two"):
        api.create_organization(name, "owner@example.com")

    assert User.objects.get().organizations.count() == 2


def test_an_organization_can_be_made_under_a_known_id() -> None:
    assert api.create_organization("Example", "o@example.com", public_id="org_dev") == "org_dev"

    with pytest.raises(InvalidParameter, match="public_id"):
        api.create_organization("Other", "o@example.com", public_id="org_dev")


@pytest.mark.parametrize(
    ("name", "email", "param"), [("", "o@example.com", "name"), ("Example", "nobody", "email")]
)
def test_a_bad_field_is_named_and_nothing_is_made(name: str, email: str, param: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        api.create_organization(name, email)

    assert refusal.value.param == param
    assert not Organization.objects.exists()
    assert not User.objects.exists()


def test_an_organization_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        api.organization_pk("org_nowhere")
    with pytest.raises(NotFound):
        api.create_key("org_nowhere", name="key")


def test_a_key_is_stored_without_its_secret() -> None:
    organization = api.create_organization("Example", "owner@example.com")
    ends = timezone.now() + timedelta(days=1)

    new = api.create_key(organization, name="first", allowed_models=["b/c", "a/b"], expires_at=ends)

    row = ApiKey.objects.get(public_id=new.key)
    assert bytes(row.mac) == keys.mac(new.secret, settings.CCAPI_KEY_PEPPER)
    assert (row.prefix, row.last4) == (new.secret[6:14], new.secret[-4:])
    assert row.allowed_models == ["a/b", "b/c"]
    assert row.expires_at == ends
    stored = [str(value) for value in ApiKey.objects.filter(pk=row.pk).values_list()[0]]
    assert not any(new.secret[14:40] in value for value in stored)


def test_a_key_without_a_name_is_refused() -> None:
    organization = api.create_organization("Example", "owner@example.com")

    with pytest.raises(InvalidParameter) as refusal:
        api.create_key(organization, name=" ")

    assert refusal.value.param == "name"


def test_a_key_is_revoked_once_and_keeps_its_moment() -> None:
    organization = api.create_organization("Example", "owner@example.com")
    new = api.create_key(organization, name="first")

    api.revoke_key(new.key)
    first = ApiKey.objects.get().revoked_at
    api.revoke_key(new.key)

    assert first is not None
    assert ApiKey.objects.get().revoked_at == first
    with pytest.raises(KeyNotFound):
        api.revoke_key("key_nowhere")


def test_the_admin_is_made_once_and_its_password_follows() -> None:
    api.ensure_admin("Admin@example.com", "the first password")
    api.ensure_admin("admin@example.com", "the second password")

    user = User.objects.get()
    assert user.is_superuser
    assert user.is_staff
    assert user.check_password("the second password")


def test_limits_are_those_given_else_the_platform_s() -> None:
    limits = Limits(rpm=5, concurrent=2)
    own = api.create_organization("Own", "owner@example.com", limits=limits)
    usual = api.create_organization("Usual", "owner@example.com")
    none = api.create_organization("None", "owner@example.com", limits=Limits())

    assert api.limits_of(own) == limits
    assert (
        api.limits_of(usual) == api.default_limits() == Limits(rpm=600, tpm=10**6, concurrent=100)
    )
    assert api.limits_of(none) == Limits()


def test_limits_are_changed_and_what_is_none_is_refused() -> None:
    organization = api.create_organization("Example", "owner@example.com")

    api.set_limits(organization, Limits(tpm=9))

    assert api.limits_of(organization) == Limits(tpm=9)
    with pytest.raises(InvalidParameter, match="rpm"):
        api.set_limits(organization, Limits(rpm=-1))
    with pytest.raises(NotFound):
        api.set_limits("org_nowhere", Limits())
    assert api.limits_of(organization) == Limits(tpm=9)


def test_a_row_of_the_old_code_has_no_limits() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO organization (public_id, name) VALUES ('org_old', 'Old') RETURNING id"
        )

    assert api.limits_of("org_old") == Limits()
