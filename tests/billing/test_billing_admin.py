"""Money in the admin: credit with a reason, and books that can be read and not changed."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from ccapi.core.ids import generation_id
from tests.billing.money import Bank, broken, rows, running
from tests.billing.test_ledger import serve


@pytest.fixture
def staff(bank: Bank, settings: Settings) -> Client:
    settings.SECURE_SSL_REDIRECT = False
    user = get_user_model().objects.create_superuser("root@example.com", "secret")
    client = Client()
    client.force_login(user)
    return client


def wallet_page(bank: Bank) -> str:
    return reverse("admin:billing_wallet_change", args=[bank.organization])


def test_credit_given_in_the_admin_is_journalled_with_who_and_why(
    staff: Client, bank: Bank
) -> None:
    form = {"status": 1, "credit": "12.50", "reason": "goodwill"}

    answer = staff.post(wallet_page(bank), form)

    assert answer.status_code == 302
    assert bank.balance().posted == 12_500_000_000
    assert rows("SELECT meta->>'reason', meta->>'actor' FROM ledger_transfer") == [
        ("goodwill", "root@example.com")
    ]
    assert broken() == {}


@pytest.mark.parametrize(
    ("credit", "reason"), [("12", ""), ("-1", "x"), ("0", "x"), ("lots", "x"), ("1e30", "x")]
)
def test_what_is_no_credit_is_refused_on_the_page(
    staff: Client, bank: Bank, credit: str, reason: str
) -> None:
    answer = staff.post(wallet_page(bank), {"status": 1, "credit": credit, "reason": reason})

    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert bank.balance().posted == 0


def test_suspending_a_wallet_changes_nothing_else(staff: Client, bank: Bank) -> None:
    bank.credit(1_000_000)

    staff.post(wallet_page(bank), {"status": 2, "credit": "", "reason": "", "posted_nano": "9"})

    assert rows("SELECT status, posted_nano FROM wallet") == [(2, 1_000_000)]


def test_amounts_are_shown_in_dollars_and_cannot_be_edited(staff: Client, bank: Bank) -> None:
    bank.credit(1_500_000_000)

    page = staff.get(wallet_page(bank)).content.decode()

    assert "$1.50" in page
    assert 'name="posted_nano"' not in page


@pytest.mark.parametrize("book", ["settlement", "usageevent", "ledgertransfer"])
def test_a_book_is_listed_searched_and_read_only(staff: Client, bank: Bank, book: str) -> None:
    bank.credit(1_000_000)
    hold = running(lambda: serve(bank, 10, 5))
    listing = reverse(f"admin:billing_{book}_changelist")

    found = staff.get(listing, {"q": generation_id(hold.request_id)})
    by_number = staff.get(listing, {"q": str(bank.organization)})
    none = staff.get(listing, {"q": "gen_" + "0" * 32})
    nonsense = staff.get(listing, {"q": "nonsense"})
    add = staff.get(reverse(f"admin:billing_{book}_add"))

    assert b"$0.00001" in found.content
    assert b"$0.00001" in by_number.content
    assert b"$0.00001" not in none.content
    assert b"$0.00001" not in nonsense.content
    assert add.status_code == 403


def test_a_single_receipt_opens(staff: Client, bank: Bank) -> None:
    bank.credit(1_000_000)
    hold = running(lambda: serve(bank, 10, 5))

    for book in ("settlement", "usageevent"):
        page = reverse(f"admin:billing_{book}_change", args=[hold.request_id])
        assert staff.get(page).status_code == 200
        assert staff.post(page, {}).status_code == 403
