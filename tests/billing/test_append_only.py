"""The books cannot be edited, and an organization cannot be without a wallet."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts import api as accounts
from tests.billing.money import Bank, rows, running
from tests.billing.test_ledger import serve

BOOKS = ["ledger_transfer", "settlement", "usage_event"]


@pytest.fixture
def used(bank: Bank) -> Bank:
    """A bank with a row in each book."""
    bank.credit(1_000_000)
    running(lambda: serve(bank, 10, 10))
    return bank


@pytest.mark.parametrize("book", BOOKS)
@pytest.mark.parametrize("verb", ["UPDATE {} SET organization_id = 0", "DELETE FROM {}"])
def test_no_row_of_the_books_is_changed(used: Bank, book: str, verb: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        rows(verb.format(book))


@pytest.mark.parametrize("book", BOOKS)
def test_a_book_is_not_emptied(used: Bank, book: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        rows(f"TRUNCATE {book}")


@pytest.mark.parametrize("book", ["settlement", "usage_event"])
def test_a_partition_is_not_changed_behind_its_table(used: Bank, book: str) -> None:
    (part,) = rows(f"SELECT DISTINCT tableoid::regclass::text FROM {book}")  # noqa: S608

    for statement in (f"DELETE FROM {part[0]}", f"TRUNCATE {part[0]}"):  # noqa: S608
        with pytest.raises(DatabaseError, match="append-only"):
            rows(statement)


def test_a_wallet_stays(bank: Bank) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        rows("DELETE FROM wallet")


def test_every_organization_has_its_wallet_however_it_was_made(bank: Bank) -> None:
    public_id = accounts.create_organization("Two", "two@example.com")
    rows("INSERT INTO organization (public_id, name) VALUES ('org_raw', 'Raw')")

    found = rows(
        "SELECT a.code, w.posted_nano FROM wallet w JOIN ledger_account a ON a.id = w.account_id"
        " JOIN organization o ON o.id = w.organization_id WHERE o.public_id IN (%s, 'org_raw')",
        public_id,
    )

    assert len(found) == 2
    assert all(code.startswith("wallet:") and posted == 0 for code, posted in found)


@pytest.mark.parametrize(
    "change", ["posted_nano = held_nano - 1", "held_nano = posted_nano + 1", "held_nano = -1"]
)
def test_the_database_itself_refuses_an_overdraft(bank: Bank, change: str) -> None:
    bank.credit(1000)

    with pytest.raises(IntegrityError), transaction.atomic():
        rows(f"UPDATE wallet SET {change}")  # noqa: S608


def test_the_migrations_can_be_undone_and_done_again(used: Bank) -> None:
    call_command("migrate", "billing", "0001", verbosity=0)
    assert rows("SELECT count(*) FROM usage_event") == [(1,)]
    call_command("migrate", "billing", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ledger_entry') IS NOT NULL")
        assert cursor.fetchone() == (True,)
