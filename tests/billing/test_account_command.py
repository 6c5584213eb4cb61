"""`manage.py account`: organizations, credit and keys, as an operator makes them."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import api as accounts
from accounts.permissions import authenticate
from billing.credits import balance
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
