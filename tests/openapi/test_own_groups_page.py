"""The front page of somebody who has logged in: their own groups, and nobody else's."""

import shutil
from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, Error, Page, sync_playwright

from accounts import api as accounts
from accounts.models import Membership, User
from accounts.types import Caller
from catalog import api as catalog
from catalog.groups import registry
from catalog.groups.serializers import GroupCreateSerializer, entry_of
from tests.catalog.catalog_documents import small
from tests.e2e.stack import Account, Stack, Web

PASSWORD = "a long enough password"  # noqa: S105 — of a test's person
OWN = {"name": "agents", "aliases": {"claude-*": ["sandbox/echo"], "$(fast)": ["sandbox/echo"]}}


class Person:
    """Somebody with a password in an organization of their own."""

    def __init__(self, email: str) -> None:
        self.organization = accounts.create_organization(f"Org of {email}", email)
        self.pk = accounts.organization_pk(self.organization)
        made = accounts.create_key(self.organization, name="k", manages_keys=True)
        key_id = accounts.key_pk(self.pk, made.key)
        assert key_id is not None
        self.caller = Caller(
            organization_id=self.pk, organization=self.organization, key_id=key_id, key=made.key
        )
        self.user = User.objects.get(email=email)
        self.user.set_password(PASSWORD)
        self.user.save()

    def group(self, name: str, **aliases: list[str]) -> None:
        data = {"name": name, "aliases": aliases}
        registry.create(self.caller, entry_of(GroupCreateSerializer(data=data)))

    def page(self) -> str:
        client = Client(headers={"host": "localhost"})
        client.force_login(self.user)
        answer = client.get("/")
        assert answer.status_code == 200
        return answer.content.decode()


@pytest.fixture
def one(db: None) -> Person:
    catalog.import_document(small())
    return Person("one@example.com")


@pytest.fixture
def two(one: Person) -> Person:
    return Person("two@example.com")


def test_own_groups_are_shown_with_their_aliases_and_lines_to_copy(one: Person) -> None:
    one.group("agents", fast=["alpha/one", "beta/one"])
    registry.activate(one.caller, "agents")

    page = one.page()

    assert "Org of one@example.com" in page
    assert '<span class="badge active">active</span>' in page
    assert "<code>/agents</code>" in page
    assert "<code>alpha/one</code> <code>beta/one</code>" in page
    assert "<code>http://localhost/agents/v1</code>" in page
    assert "export ANTHROPIC_BASE_URL=http://localhost/agents\n" in page
    assert "export ANTHROPIC_MODEL=fast" in page


def test_another_organizations_groups_are_not(one: Person, two: Person) -> None:
    one.group("secret-plan", fast=["alpha/one"])
    two.group("other", fast=["alpha/one"])

    page = two.page()

    assert "<code>/other</code>" in page
    assert "secret-plan" not in page
    assert "one@example.com" not in page


def test_a_member_of_two_organizations_sees_both(one: Person, two: Person) -> None:
    Membership.objects.create(organization_id=two.pk, user=one.user)
    two.group("other", fast=["alpha/one"])

    page = one.page()

    assert "Org of one@example.com" in page
    assert "Org of two@example.com" in page
    assert "<code>/other</code>" in page


def test_an_alias_is_text_on_the_page_and_in_the_shell(one: Person) -> None:
    one.group("odd", **{"<b>$(reboot)": ["alpha/one"]})

    page = one.page()

    assert "<b>$(reboot)" not in page
    assert "export ANTHROPIC_MODEL=&#x27;&lt;b&gt;$(reboot)&#x27;" in page


def test_nobody_keeps_a_page_of_somebody(one: Person) -> None:
    client = Client(headers={"host": "localhost"})
    before = client.get("/")
    client.force_login(one.user)
    after = client.get("/")

    assert 'href="/login"' in before.content.decode()
    assert "no-store" in after.headers["cache-control"]
    assert "form-action 'self'" in after.headers["content-security-policy"]
    assert "form-action 'none'" in before.headers["content-security-policy"]


def test_a_wrong_password_and_an_unknown_person_are_told_the_same(one: Person) -> None:
    def answer(email: str, password: str) -> tuple[int, str]:
        sent = {"username": email, "password": password}
        got = Client(headers={"host": "localhost"}).post("/login", sent)
        return got.status_code, got.content.decode().replace(email, "").partition("<form")[2]

    def said(text: str) -> str:
        return text.partition('role="alert">')[2].partition("<")[0]

    wrong = answer("one@example.com", "wrong")
    unknown = answer("nobody@example.com", "wrong")

    assert wrong[0] == unknown[0] == 200
    assert said(wrong[1]) == said(unknown[1]) != ""


def test_a_link_elsewhere_after_the_login_is_not_followed(one: Person) -> None:
    sent = {"username": "one@example.com", "password": PASSWORD}

    answer = Client(headers={"host": "localhost"}).post("/login?next=https://evil.example/", sent)

    assert answer.status_code == 302
    assert answer.headers["location"] == "/"


PREPARE = """
import django; django.setup()
import sys
from accounts.models import Membership, Organization, User
user = User.objects.create_user("reader@example.com", sys.argv[2])
Membership.objects.create(organization=Organization.objects.get(public_id=sys.argv[1]), user=user)
"""


@pytest.fixture(scope="module")
def reader(documented: Stack, customer: Account) -> None:
    """Somebody of the customer's organization, which has a group of its own, made active."""
    documented.python("-c", PREPARE, customer.organization, PASSWORD)
    with documented.http(customer) as client:
        assert client.post("/groups", json=OWN).status_code == 201
        assert client.post("/groups/agents/activate").status_code == 200


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
        except Error as error:
            pytest.skip(f"no browser on this machine: {error.message.splitlines()[0]}")
        yield found
        found.close()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(5_000)
    yield context.new_page()
    context.close()


@pytest.mark.usefixtures("reader")
def test_somebody_logs_in_sees_their_groups_and_logs_out(page: Page, web: Web) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    page.goto(web.url)
    page.locator(".notice").get_by_role("link", name="Log in").click()
    page.get_by_label("E-mail address").fill("reader@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    active = page.locator("details.group[open]")
    shown = active.inner_text()
    page.locator("details.group .choices").get_by_role("button", name="Gemini CLI").first.click()
    line = active.locator("figure:visible pre").inner_text()
    fits = page.evaluate("document.documentElement.scrollWidth") == page.evaluate("innerWidth")
    page.get_by_role("button", name="Log out").click()

    assert said == []
    assert fits, "nothing is wider than the window"
    assert "/agents" in shown
    assert "claude-*" in shown
    assert f"export GOOGLE_GEMINI_BASE_URL={web.url}/agents" in line
    assert "export GEMINI_MODEL='$(fast)'" in line
    assert page.locator("details.group").count() == 0
    assert page.url == f"{web.url}/"
