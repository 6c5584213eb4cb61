import pytest
from django.contrib.auth import authenticate as log_in
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts import keys
from accounts.models import ApiKey, KeyRevision, Membership, Organization, User

pytestmark = pytest.mark.django_db


def a_key(organization: Organization, **fields: object) -> ApiKey:
    secret = keys.make()
    given = {"prefix": secret.prefix, "last4": secret.last4, "mac": keys.mac(secret.text, "p")}
    return ApiKey.objects.create(organization=organization, name="k", **(given | fields))


def revision() -> int:
    return KeyRevision.objects.get().revision


def test_people_log_in_with_their_address_in_any_case() -> None:
    user = User.objects.create_user("Ada@Example.COM", "a long passphrase")

    assert user.email == "ada@example.com"
    assert log_in(username="ADA@example.com", password="a long passphrase") == user  # noqa: S106
    assert log_in(username="ada@example.com", password="another") is None  # noqa: S106


def test_an_address_is_one_person_however_it_is_written() -> None:
    User.objects.create_user("ada@example.com")

    with pytest.raises(ValidationError):
        User.objects.create_user("ADA@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(email="Ada@Example.com")])
    assert User.objects.get(email="aDa@example.com")


def test_the_database_itself_refuses_an_address_in_upper_case() -> None:
    User.objects.create_user("ada@example.com")

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE account_user SET email = 'Ada@example.com'")


def test_a_person_without_a_password_cannot_log_in() -> None:
    User.objects.create_user("ada@example.com")

    assert log_in(username="ada@example.com", password="") is None


@pytest.mark.parametrize(
    "fields", [{"public_id": "acme"}, {"name": ""}, {"status": "gone"}], ids=lambda f: next(iter(f))
)
def test_the_database_refuses_a_malformed_organization(fields: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Organization.objects.create(**({"name": "Example"} | fields))


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        Organization(name="Example", timezone="Mars/Olympus").full_clean()


def test_a_person_is_a_member_once() -> None:
    organization = Organization.objects.create(name="Example")
    user = User.objects.create_user("ada@example.com")
    Membership.objects.create(organization=organization, user=user)

    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(organization=organization, user=user)


@pytest.mark.parametrize(
    "fields",
    [{"mac": b"short"}, {"prefix": "short"}, {"last4": "abc"}, {"public_id": "nope"}],
    ids=lambda f: next(iter(f)),
)
def test_the_database_refuses_a_malformed_key(fields: dict[str, object]) -> None:
    organization = Organization.objects.create(name="Example")

    with pytest.raises(IntegrityError), transaction.atomic():
        a_key(organization, **fields)


def test_two_keys_cannot_have_one_mac() -> None:
    organization = Organization.objects.create(name="Example")
    key = a_key(organization)

    with pytest.raises(IntegrityError), transaction.atomic():
        a_key(organization, mac=key.mac)


def test_what_changes_who_may_call_counts_the_revision_up() -> None:
    organization = Organization.objects.create(name="Example")
    key = a_key(organization)
    seen = [revision()]

    for change in (
        lambda: ApiKey.objects.filter(pk=key.pk).update(revoked_at=Now()),
        lambda: ApiKey.objects.filter(pk=key.pk).update(expires_at=Now()),
        lambda: ApiKey.objects.filter(pk=key.pk).update(allowed_models=["a/b"]),
        lambda: Organization.objects.update(status="suspended"),
        lambda: ApiKey.objects.filter(pk=key.pk).delete(),
    ):
        change()
        seen.append(revision())

    assert seen == list(range(seen[0], seen[0] + 6))


def test_what_does_not_leaves_the_revision_alone() -> None:
    before = revision()

    organization = Organization.objects.create(name="Example")
    key = a_key(organization)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now(), name="other")
    Organization.objects.update(name="Other")

    assert revision() == before
