"""`manage.py account`: organizations, credit and keys, as an operator makes them."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import api as accounts
from accounts.models import ApiKey
from accounts.permissions import authenticate
from billing.credits import balance
from catalog.api import import_document
from tests.billing.money import broken, rows

pytestmark = pytest.mark.django_db


def account(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("account", *arguments, "--json", stdout=out)
    (line,) = out.getvalue().splitlines()
    answer = json.loads(line)
    assert isinstance(answer, dict)
    return answer


def create(credit: str = "25.00") -> dict[str, Any]:
    return account("create", "Acme", "--email", "owner@acme.example", "--credit", credit)


def test_create_makes_an_organization_with_credit_and_a_key_that_works() -> None:
    made = create()

    assert set(made) == {"organization", "email", "api_key"}
    assert made["email"] == "owner@acme.example"
    caller = authenticate(made["api_key"])
    assert caller.organization == made["organization"]
    assert balance(caller.organization_id).posted == 25_000_000_000
    assert broken() == {}


def test_credit_is_added_and_its_reason_and_giver_stand_in_the_journal() -> None:
    made = create()

    answer = account("credit", made["organization"], "1.000000001", "--reason", "goodwill")

    assert answer["balance"] == "26.000000001"
    (meta,) = rows("SELECT meta->>'reason', meta->>'actor' FROM ledger_transfer ORDER BY id DESC")[
        :1
    ]
    assert meta[0] == "goodwill"
    assert meta[1].startswith("command")
    assert broken() == {}


def test_an_organization_may_begin_without_credit() -> None:
    made = create("0")

    assert balance(accounts.organization_pk(made["organization"])).posted == 0


def test_key_makes_another_key_of_the_same_organization() -> None:
    made = create()

    another = account("key", made["organization"], "--name", "ci")

    assert another["api_key"] != made["api_key"]
    assert authenticate(another["api_key"]).organization == made["organization"]


def test_the_first_key_manages_keys_and_another_one_if_told_so() -> None:
    made = account("create", "Acme", "--email", "managers@example.com")

    account("key", made["organization"], "--name", "ci")
    account("key", made["organization"], "--name", "ops", "--manages-keys")

    found = ApiKey.objects.filter(organization__public_id=made["organization"])
    assert {key.name: key.manages_keys for key in found} == {
        "default": True,
        "ci": False,
        "ops": True,
    }


def test_without_json_it_is_written_for_people() -> None:
    out = StringIO()

    call_command("account", "create", "Acme", "--email", "a@b.example", stdout=out)

    assert out.getvalue().startswith("organization: org_")


@pytest.mark.parametrize("amount", ["-1", "0", "lots", "0.0000000001", "1e30"])
def test_what_is_no_credit_is_refused_and_nothing_changes(amount: str) -> None:
    made = create()

    with pytest.raises(CommandError):
        account("credit", made["organization"], "--reason", "x", "--", amount)

    assert balance(accounts.organization_pk(made["organization"])).posted == 25_000_000_000


def test_a_bad_amount_leaves_no_organization_behind() -> None:
    with pytest.raises(CommandError, match="not an amount"):
        create("lots")

    assert rows("SELECT count(*) FROM organization WHERE name = 'Acme'") == [(0,)]


def test_an_unknown_organization_is_told() -> None:
    with pytest.raises(CommandError, match="org_nowhere"):
        account("credit", "org_nowhere", "1", "--reason", "x")


def limits_of(organization: str) -> tuple[int, int, int]:
    found = accounts.limits_of(organization)
    return found.rpm, found.tpm, found.concurrent


def test_a_new_organization_has_the_catalog_s_limits() -> None:
    assert limits_of(create()["organization"]) == (600, 1_000_000, 100)

    import_document({"defaults": {"rpm": 7, "tpm": 0, "concurrent": 3}})

    assert limits_of(create()["organization"]) == (7, 0, 3)


def test_limits_that_are_given_are_those_of_the_organization() -> None:
    options = ("create", "Acme", "--email", "owner@acme.example", "--rpm", "0", "--tpm", "50")

    assert limits_of(account(*options)["organization"]) == (0, 50, 100)


def test_limits_are_shown_and_changed_alone() -> None:
    organization = create()["organization"]

    changed = account("limits", organization, "--concurrent", "5")

    assert changed == {
        "organization": organization,
        "rpm": 600,
        "tpm": 1_000_000,
        "concurrent": 5,
    }
    assert account("limits", organization) == changed
    assert limits_of(organization) == (600, 1_000_000, 5)


@pytest.mark.parametrize("number", ["-1", "3000000000"])
def test_what_is_no_limit_is_refused(number: str) -> None:
    organization = create()["organization"]

    with pytest.raises(CommandError, match="rpm"):
        account("limits", organization, f"--rpm={number}")
    with pytest.raises(CommandError, match="rpm"):
        account("create", "Other", "--email", "o@acme.example", f"--rpm={number}")
