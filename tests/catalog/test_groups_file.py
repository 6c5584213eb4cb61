"""Groups in the catalog file: read, refused by line and field, and round."""

from typing import Any

import pytest
import yaml
from django.db import DatabaseError, IntegrityError, connection, transaction

from catalog import api
from catalog.file import document
from catalog.file.reading import DocumentError, parse_yaml
from catalog.groups.models import Group
from ccapi.core.reserved import RESERVED


def whole() -> dict[str, Any]:
    """A group with nothing left at its default."""
    return {
        "name": "gemini",
        "aliases": {"claude-sonnet-*": ["beta/one", "alpha/one"], "gpt-?": ["alpha/two"]},
        "balance": "round_robin",
        "disabled": True,
        "allow_catalog": True,
        "inject": "always",
        "tool_compat": "compat",
        "prompt_injection": "enhance",
        "prompt_text": "Be brief.\nBe kind.",
        "prompt_position": "user",
        "prompt_replace": [{"key": "Claude Code", "value": ""}],
        "inject_for": ["claude-*"],
        "tool_filter": ["WebSearch"],
        "temperature_ratio": 0.5,
    }


def revision() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT revision FROM catalog_revision")
        (found,) = cursor.fetchone()
    return int(found)


def test_a_group_goes_in_and_into_the_snapshot(catalog: None) -> None:
    changes = api.import_document({"groups": [whole()]})

    group = api.current_sync().group(1, "gemini")
    assert changes.created == ("group gemini",)
    assert group is not None
    assert [(each.pattern, each.targets) for each in group.aliases] == [
        ("claude-sonnet-*", ("beta/one", "alpha/one")),
        ("gpt-?", ("alpha/two",)),
    ]
    assert (group.balance, group.temperature_ratio) == ("round_robin", 0.5)
    assert group.prompt_replace[0].key == "Claude Code"
    assert group.tool_filter == {"WebSearch"}


def test_what_is_exported_goes_back_in_and_changes_nothing(catalog: None) -> None:
    api.import_document({"groups": [whole(), {"name": "plain", "aliases": {"b*": "beta/one"}}]})
    text = yaml.safe_dump(api.export_document(), sort_keys=False)
    before = revision()

    changes = api.import_text(text)

    assert (changes.created, changes.updated) == ((), ())
    assert "group gemini" in changes.unchanged
    assert revision() == before
    exported = {each["name"]: each for each in yaml.safe_load(text)["groups"]}
    assert exported["gemini"] == whole()
    assert list(exported["gemini"]["aliases"]) == list(whole()["aliases"])


def test_what_an_entry_leaves_out_has_its_default_again(catalog: None) -> None:
    api.import_document({"groups": [whole()]})

    changes = api.import_document({"groups": [{"name": "gemini", "aliases": {"x": ["alpha/one"]}}]})

    assert changes.updated == ("group gemini",)
    group = api.current_sync().group(1, "gemini")
    assert group is not None
    assert (group.disabled, group.balance, group.tool_filter) == (False, "failover", frozenset())
    assert [each.pattern for each in group.aliases] == ["x"]


def test_changing_the_order_of_aliases_is_a_change(catalog: None) -> None:
    entry = {"name": "g", "aliases": {"a*": ["alpha/one"], "ab": ["alpha/two"]}}
    api.import_document({"groups": [entry]})
    entry["aliases"] = {"ab": ["alpha/two"], "a*": ["alpha/one"]}

    assert api.import_document({"groups": [entry]}).updated == ("group g",)


def test_every_mistake_is_named_by_line_and_field() -> None:
    data, source = parse_yaml(
        """\
groups:
  - name: Gemini
    aliases:
      "claude-*": []
      gpt: [alpha/one, alpha/one]
    balance: sometimes
    temperature_ratio: 11
    colour: red
  - name: admin
    prompt_injection: off
    prompt_replace: [{value: x}]
    tool_filter: WebSearch
    inject_for: [""]
  - name: "12"
"""
    )
    with pytest.raises(DocumentError) as caught:
        document.read(data, source, {}, seed=False)

    told = [str(problem).rpartition(": ")[0] or str(problem) for problem in caught.value.problems]
    assert [each.split(": ")[:2] for each in told] == [
        ["line 2", "groups[0].name"],
        ["line 4", "groups[0].aliases.claude-*"],
        ["line 5", "groups[0].aliases.gpt"],
        ["line 6", "groups[0].balance"],
        ["line 7", "groups[0].temperature_ratio"],
        ["line 8", "groups[0].colour"],
        ["line 9", "groups[1].name"],
        ["line 11", "groups[1].prompt_replace[0].key"],
        ["line 12", "groups[1].tool_filter"],
        ["line 13", "groups[1].inject_for"],
        ["line 14", "groups[2].name"],
    ]


def test_an_unknown_target_is_named_and_nothing_is_changed(catalog: None) -> None:
    before = revision()

    with pytest.raises(DocumentError) as caught:
        api.import_text("groups:\n  - name: g\n    aliases:\n      a: [alpha/one, alpha/none]\n")

    assert str(caught.value) == "line 4: groups[0].aliases.a: there is no model 'alpha/none'"
    assert not Group.objects.exists()
    assert revision() == before


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_the_database_refuses_every_reserved_name(name: str) -> None:
    """A name that is new on the list wants a migration that adds it to the CHECK."""
    with pytest.raises(IntegrityError), transaction.atomic():
        Group.objects.create(name=name)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["Team", "a--b", "-a", "a-", "123", "a_b", "ä", "", "a" * 41, "a\n"]
)
def test_the_database_refuses_what_is_no_slug(name: str) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        Group.objects.create(name=name)

    assert "model_group_name" in str(caught.value) or "too long" in str(caught.value)


@pytest.mark.django_db
def test_the_platform_has_a_name_once() -> None:
    Group.objects.create(name="one")

    with pytest.raises(IntegrityError), transaction.atomic():
        Group.objects.create(name="one")
