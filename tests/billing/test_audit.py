"""Each invariant is broken on purpose, as a superuser can, and the audit says which."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from billing import api
from billing import audit as checks
from billing.types import Bound, Outcome
from ccapi.core import metrics
from ccapi.core.alerts import Kind
from ccapi.core.ids import parse_generation_id
from ccapi.core.usage import Usage
from tests.billing.money import Bank, broken, price, rows, running
from tests.billing.test_ledger import serve

# name → what to do to the database that breaks it (and perhaps others with it)
BREAKS = {
    "I-NONNEG": """
        ALTER TABLE wallet DROP CONSTRAINT wallet_never_overdrawn;
        UPDATE wallet SET posted_nano = -1""",
    "I-HELD": "UPDATE wallet SET held_nano = held_nano + 1",
    "I-POSTED": "UPDATE wallet SET posted_nano = posted_nano + 1",
    "I-ZERO": """
        UPDATE ledger_transfer SET ledger = 2 WHERE ref_type = 1""",
    "I-ONCE": """
        INSERT INTO hold (request_id, organization_id, key_id, amount_nano, price_version_id, model,
                          endpoint, owner, expires_at)
        SELECT request_id, organization_id, 1, 0, 1, 'm', 'chat', 'o', now() FROM settlement""",
    "I-RESOLVE": "UPDATE hold SET expires_at = now() - interval '1 hour'",
    "I-SPLIT": """
        ALTER TABLE usage_event DROP CONSTRAINT usage_event_cost_split;
        UPDATE usage_event SET input_cost_nano = input_cost_nano + 1""",
    "I-JOURNAL": "DELETE FROM ledger_transfer WHERE ref_type = 1",
    "I-EVENT": "DELETE FROM usage_event",
    "I-SUBSET": "UPDATE usage_event SET output_tokens = output_tokens + 1",
    "I-MONO": "UPDATE wallet SET version = 0",
    "I-TENANT": "UPDATE usage_event SET organization_id = organization_id + 1",
    "I-NOFREE": "UPDATE usage_event SET charge_nano = 0, cost_nano = 0, output_cost_nano = 0",
    "I-ROLLUP": "UPDATE usage_rollup SET cost_nano = cost_nano + 1",
    "I-APPEND": "ALTER TABLE usage_event_default DISABLE TRIGGER append_only_table",
    "I-PARTITION": "DROP TABLE settlement_default",
    "I-PRICE": "UPDATE usage_event SET output = output + 1, output_tokens = output_tokens + 1",
}

FREE = "charge_nano = 0, cost_nano = 0, input_cost_nano = 0, output_cost_nano = 0"


@pytest.fixture
def used(bank: Bank) -> Bank:
    """A bank with a captured, a written-off, a voided and an open request."""
    bank.credit(1_000_000)

    async def requests() -> None:
        await serve(bank, 10, 7)
        await serve(bank, 10, 15)
        hold = await api.admit(bank.wants(10))
        api.settle(bank.used(hold, 3, outcome=Outcome.VOIDED, status="upstream_error"))
        await api.admit(bank.wants(10))

    running(requests)
    return bank


def as_superuser(sql: str) -> None:
    """Without the triggers, which is what a person with too many rights would do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_sound_books_pass(used: Bank) -> None:
    assert broken() == {}


def test_every_invariant_is_broken_by_some_test() -> None:
    assert {*checks.CHECKS, "I-PRICE"} == set(BREAKS)


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_invariant_is_reported(used: Bank, name: str) -> None:
    as_superuser(BREAKS[name])

    found = {finding.name: finding for finding in checks.audit()}

    assert found[name].broken > 0
    assert found[name].sample


def test_a_missing_wallet_is_a_broken_tenant(used: Bank) -> None:
    as_superuser("INSERT INTO organization (public_id, name) VALUES ('org_bare', 'Bare')")

    assert broken() == {"I-TENANT": 1}


def test_a_row_in_the_default_partition_is_reported(used: Bank) -> None:
    ancient = parse_generation_id("gen_" + "0" * 32)
    rows(
        "INSERT INTO settlement (request_id, organization_id, outcome, hold_nano, charge_nano,"
        " captured_nano, overage_nano, settled_by) VALUES (%s, 1, 2, 0, 0, 0, 0, 'test')",
        ancient or "",
    )

    assert "I-PARTITION" in broken()


@pytest.mark.parametrize("book", ["ledger_transfer", "settlement", "usage_event"])
def test_a_disabled_trigger_is_reported(used: Bank, book: str) -> None:
    as_superuser(f"ALTER TABLE {book} DISABLE TRIGGER append_only_rows")

    assert broken()["I-APPEND"] >= 1


def test_prices_that_are_not_the_catalogs_are_reported(used: Bank) -> None:
    other = price({"input": "3", "output": "9"}, name="acme/dear")
    as_superuser(f"UPDATE usage_event SET price_version_id = {other.id}")  # noqa: S608

    assert broken() == {"I-PRICE": 2}


@pytest.mark.parametrize(
    ("units", "usage", "more", "breaks"),
    [
        ({"image": "0.04"}, Usage(images=2), "images = 3", {"I-PRICE", "I-ROLLUP"}),
        (
            {"input_characters": "15"},
            Usage(characters=9),
            "characters = 8",
            {"I-PRICE", "I-ROLLUP"},
        ),
        ({"image": "0.04"}, Usage(images=2), FREE, {"I-NOFREE"}),
        ({"input_characters": "15"}, Usage(characters=9), FREE, {"I-NOFREE"}),
    ],
)
def test_pictures_and_speech_are_audited_as_tokens_are(
    bank: Bank, units: dict[str, str], usage: Usage, more: str, breaks: set[str]
) -> None:
    bank.credit(1_000_000_000)
    paid = price(units, name="acme/media")
    bound = Bound(
        price=paid,
        input_tokens=0,
        output_tokens=0,
        images=usage.images,
        characters=usage.characters,
    )
    with transaction.atomic():
        hold = api.place_hold(bank.wants(0, bounds=(bound,)))
        api.settle_hold(bank.used(hold, 0, usage=usage, price=paid, model="acme/media"))
    assert broken() == {}

    as_superuser(f"UPDATE usage_event SET {more}")  # noqa: S608 — constants

    assert set(broken()) >= breaks


def test_the_command_prints_each_verdict_and_fails_where_one_is_broken(used: Bank) -> None:
    sound, unsound = StringIO(), StringIO()
    alerts = metrics.ALERTS.value((Kind.AUDIT_BROKEN.value,))

    call_command("audit", stdout=sound)
    as_superuser(BREAKS["I-POSTED"])
    with pytest.raises(SystemExit) as left:
        call_command("audit", stdout=unsound)

    lines = sound.getvalue().splitlines()
    assert lines[0] == "I-NONNEG ok 0"
    assert lines[-1] == f"All {len(BREAKS)} invariants hold."
    assert left.value.code == 1
    assert "I-POSTED BROKEN 1" in unsound.getvalue()
    assert metrics.ALERTS.value((Kind.AUDIT_BROKEN.value,)) == alerts + 1
    assert (
        unsound.getvalue().splitlines()[-1]
        == f"1 of {len(BREAKS)} invariants are broken: I-POSTED."
    )
