"""The admin's pages of groups: the same rules as the file's, and at once in every process."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts import api as accounts
from accounts.models import User
from catalog import api
from catalog.groups.models import ActiveGroup, Group

SENT = {
    "name": "team",
    "balance": "failover",
    "tool_compat": "auto",
    "prompt_injection": "off",
    "prompt_text": "",
    "prompt_position": "system",
    "inject": "with_tools",
    "inject_for": "",
    "prompt_replace": "[]",
    "tool_filter": "Read, Write",
    "temperature_ratio": "1.0",
    "aliases-TOTAL_FORMS": "2",
    "aliases-INITIAL_FORMS": "0",
    "aliases-0-position": "0",
    "aliases-0-pattern": "claude-*",
    "aliases-0-targets": "beta/one, alpha/one",
    "aliases-1-position": "1",
    "aliases-1-pattern": "*",
    "aliases-1-targets": "alpha/two",
}
ADD = "admin:catalog_group_add"


@pytest.fixture
def admin(catalog: None) -> Client:
    accounts.ensure_admin("admin@example.com", "a-long-password-1")
    client = Client()
    client.force_login(User.objects.get(email="admin@example.com"))
    return client


def test_a_group_of_the_platform_is_made_with_its_aliases(admin: Client) -> None:
    answer = admin.post(reverse(ADD), SENT)

    assert answer.status_code == 302, answer.content.decode()[:4000]
    group = api.current_sync().group(1, "team")
    assert group is not None
    assert [(each.pattern, each.targets) for each in group.aliases] == [
        ("claude-*", ("beta/one", "alpha/one")),
        ("*", ("alpha/two",)),
    ]
    assert group.tool_filter == {"Read", "Write"}
    assert "the platform" in admin.get(reverse("admin:catalog_group_changelist")).content.decode()


def test_a_group_of_an_organization_is_seen_by_it_alone(admin: Client) -> None:
    organization = accounts.organization_pk(accounts.create_organization("O", "o@example.com"))

    admin.post(reverse(ADD), SENT | {"organization": organization})

    assert api.current_sync().group(organization, "team") is not None
    assert api.current_sync().group(organization + 1, "team") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "admin"),
        ("name", "Team"),
        ("prompt_replace", '{"key": "a"}'),
        ("temperature_ratio", "-1"),
        ("aliases-0-targets", "alpha/none"),
        ("aliases-0-targets", "alpha/one, alpha/one"),
        ("aliases-1-pattern", "claude-*"),
    ],
)
def test_a_wrong_field_is_refused_on_its_page(admin: Client, field: str, value: str) -> None:
    answer = admin.post(reverse(ADD), SENT | {field: value})

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Group.objects.exists()


def test_a_name_stands_once_and_for_good(admin: Client) -> None:
    admin.post(reverse(ADD), SENT)
    group = Group.objects.get()

    again = admin.post(reverse(ADD), SENT)
    change = reverse("admin:catalog_group_change", args=[group.pk])
    page = admin.get(change)

    assert again.status_code == 200, "a second one of that name"
    assert Group.objects.count() == 1
    assert page.status_code == 200
    assert "name" not in page.context["adminform"].form.fields


def test_the_active_group_is_set(admin: Client) -> None:
    organization = accounts.organization_pk(accounts.create_organization("O", "o@example.com"))

    answer = admin.post(
        reverse("admin:catalog_activegroup_add"), {"organization": organization, "name": "team"}
    )

    assert answer.status_code == 302
    assert ActiveGroup.objects.get().name == "team"
    assert api.current_sync().active_group(organization) == "team"
    page = admin.get(reverse("admin:catalog_activegroup_change", args=[organization]))
    assert page.status_code == 200
