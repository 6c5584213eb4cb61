"""/groups, as a customer sees it."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import api as accounts
from catalog import api
from catalog.groups import names, registry
from catalog.groups.models import ActiveGroup, Group

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalog")]

OURS = {"name": "shared", "aliases": {"any": ["alpha/one"]}}


class Customer:
    def __init__(self, email: str, *, manages_keys: bool = True) -> None:
        self.organization = accounts.create_organization(email, email)
        self.use(manages_keys=manages_keys)

    def use(self, *, manages_keys: bool) -> None:
        made = accounts.create_key(self.organization, name="k", manages_keys=manages_keys)
        self._headers = {"authorization": f"Bearer {made.secret}"}

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 — JSON
        send = getattr(APIClient(), method)
        if body is None:
            return send(path, headers=self._headers)
        return send(path, data=body, format="json", headers=self._headers)

    @property
    def pk(self) -> int:
        return accounts.organization_pk(self.organization)


@pytest.fixture
def customer() -> Customer:
    return Customer("one@example.com")


@pytest.fixture
def other() -> Customer:
    return Customer("two@example.com")


def told(answer: Any) -> tuple[int, str, str | None]:  # noqa: ANN401 — JSON
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("param")


def test_a_group_is_made_read_changed_and_deleted(customer: Customer) -> None:
    body = {"name": "team", "aliases": {"b*": ["alpha/one"], "a": ["beta/one", "alpha/two"]}}

    made = customer.ask("post", "/groups", body)
    read = customer.ask("get", "/v1/groups/team")
    changed = customer.ask("put", "/groups/team", {"aliases": {"x": ["alpha/two"]}})
    gone = customer.ask("delete", "/groups/team")

    assert made.status_code == 201, made.content
    assert made.json()["aliases"] == body["aliases"]
    assert list(made.json()["aliases"]) == ["b*", "a"]
    assert read.json() == made.json()
    assert (made.json()["platform"], made.json()["active"]) == (False, False)
    assert made.json()["balance"] == "failover"
    assert changed.json()["aliases"] == {"x": ["alpha/two"]}
    assert gone.json() == changed.json()
    assert told(customer.ask("get", "/groups/team")) == (404, "group_not_found", None)


def test_what_is_told_can_be_sent_again(customer: Customer) -> None:
    body = {
        "name": "team",
        "aliases": {"a": ["alpha/one"]},
        "prompt_injection": "replace",
        "prompt_text": " keep the blanks ",
        "prompt_replace": [{"key": "a ", "value": ""}],
        "inject_for": ["a*"],
        "tool_filter": ["X"],
        "temperature_ratio": 2,
    }
    made = customer.ask("post", "/groups", body).json()

    again = customer.ask(
        "put", "/groups/team", {k: v for k, v in made.items() if k not in ("platform", "active")}
    )

    assert again.json() == made
    assert made["prompt_text"] == " keep the blanks "
    assert made["prompt_replace"] == [{"key": "a ", "value": ""}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": "Team"}, "name"),
        ({"name": "admin"}, "name"),
        ({"name": "switch"}, "name"),
        ({"name": "compat"}, "name"),
        ({"aliases": {"a": ["alpha/none"]}}, "aliases.a"),
        ({"aliases": {"a": []}}, "aliases.a"),
        ({"aliases": {"a": ["alpha/one", "alpha/one"]}}, "aliases.a"),
        ({"aliases": {"x" * 129: ["alpha/one"]}}, f"aliases.{'x' * 129}"),
        ({"aliases": ["alpha/one"]}, "aliases"),
        ({"balance": "random"}, "balance"),
        ({"disabled": "yes"}, "disabled"),
        ({"temperature_ratio": "1"}, "temperature_ratio"),
        ({"temperature_ratio": -1}, "temperature_ratio"),
        ({"prompt_replace": [{"key": "", "value": ""}]}, "prompt_replace[0].key"),
        ({"colour": "red"}, "colour"),
        ({"organization": 1}, "organization"),
    ],
)
def test_a_wrong_field_is_named(customer: Customer, fields: dict[str, Any], param: str) -> None:
    answer = customer.ask("post", "/groups", {"name": "team", "aliases": {}, **fields})

    status, code, found = told(answer)
    assert (status, code) == (400, "invalid_parameter"), answer.content
    assert found is not None
    assert found.replace("prompt_replace.0", "prompt_replace[0]").startswith(param), answer.content
    assert not Group.objects.filter(organization=customer.pk).exists()


def test_a_name_is_there_once_and_never_changes(customer: Customer) -> None:
    customer.ask("post", "/groups", {"name": "team"})

    assert told(customer.ask("post", "/groups", {"name": "team"}))[2] == "name"
    assert told(customer.ask("put", "/groups/team", {"name": "crew"}))[2] == "name"
    assert told(customer.ask("put", "/groups/none", {})) == (404, "group_not_found", None)


def test_a_body_without_a_name_makes_no_group(customer: Customer) -> None:
    assert told(customer.ask("post", "/groups", {}))[2] == "name"


def test_a_group_of_another_organization_does_not_exist(
    customer: Customer, other: Customer
) -> None:
    other.ask("post", "/groups", {"name": "theirs"})
    asked: list[tuple[str, str, object]] = [
        ("get", "/groups/theirs", None),
        ("put", "/groups/theirs", {}),
        ("delete", "/groups/theirs", None),
        ("post", "/groups/theirs/activate", None),
    ]

    for method, path, body in asked:
        assert told(customer.ask(method, path, body)) == (404, "group_not_found", None)
    assert customer.ask("get", "/groups").json()["data"] == []
    assert customer.ask("post", "/groups", {"name": "theirs"}).status_code == 201
    assert Group.objects.filter(name="theirs").count() == 2


def test_the_platforms_groups_are_seen_and_not_changed(customer: Customer) -> None:
    api.import_document({"groups": [OURS]})

    (seen,) = customer.ask("get", "/groups").json()["data"]
    assert (seen["name"], seen["platform"]) == ("shared", True)
    assert told(customer.ask("put", "/groups/shared", {}))[0] == 403
    assert told(customer.ask("delete", "/groups/shared"))[0] == 403

    own = customer.ask("post", "/groups", {"name": "shared", "aliases": {"own": ["beta/one"]}})

    assert own.status_code == 201
    (seen,) = customer.ask("get", "/groups").json()["data"]
    assert (seen["platform"], list(seen["aliases"])) == (False, ["own"])
    snapshot = api.current_sync()
    found = snapshot.group(customer.pk, "shared"), snapshot.group(0, "shared")
    assert [each.aliases[0].pattern for each in found if each] == ["own", "any"]


def test_a_group_is_made_active_and_default_again_when_it_is_deleted(customer: Customer) -> None:
    customer.ask("post", "/groups", {"name": "team"})

    assert customer.ask("get", "/groups").json()["active"] == "default"
    assert customer.ask("post", "/groups/team/activate").json()["active"] == "team"
    assert customer.ask("get", "/groups/team").json()["active"] is True
    assert api.current_sync().active_group(customer.pk) == "team"
    customer.ask("delete", "/groups/team")
    assert customer.ask("get", "/groups").json()["active"] == "default"
    assert not ActiveGroup.objects.exists()


def test_the_platforms_group_and_default_can_be_made_active(customer: Customer) -> None:
    api.import_document({"groups": [OURS, {"name": "off", "disabled": True}]})

    assert customer.ask("post", "/groups/shared/activate").json()["active"] == "shared"
    assert customer.ask("post", "/groups/default/activate").json()["active"] == "default"
    assert told(customer.ask("post", "/groups/off/activate"))[0] == 400


def test_a_key_that_manages_no_keys_sees_groups_and_changes_none(customer: Customer) -> None:
    customer.ask("post", "/groups", {"name": "team"})
    customer.use(manages_keys=False)

    assert customer.ask("get", "/groups/team").status_code == 200
    for method, path, body in [
        ("post", "/groups", {"name": "more"}),
        ("put", "/groups/team", {}),
        ("delete", "/groups/team", None),
        ("post", "/groups/team/activate", None),
    ]:
        assert told(customer.ask(method, path, body))[0] == 403


def test_there_are_bounds_on_groups_and_aliases(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"a{number}": ["alpha/one"] for number in range(names.ALIASES_MAX + 1)}
    full = customer.ask("post", "/groups", {"name": "full", "aliases": many})
    del many["a0"]
    fits = customer.ask("post", "/groups", {"name": "full", "aliases": many})
    monkeypatch.setattr(registry, "GROUPS_MAX", 1)

    assert told(full)[2] == "aliases"
    assert fits.status_code == 201
    assert told(customer.ask("post", "/groups", {"name": "more"}))[0] == 403


def test_what_is_the_same_already_changes_nothing(customer: Customer) -> None:
    body = {"name": "team", "aliases": {"a": ["alpha/one"]}}
    customer.ask("post", "/groups", body)
    before = api.current_sync().revision

    customer.ask("put", "/groups/team", body)
    customer.ask("post", "/groups/default/activate")

    assert api.current_sync().revision == before
