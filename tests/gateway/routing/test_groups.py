"""What a name means, with and without a group."""

from types import MappingProxyType

import msgspec
import pytest

from accounts.types import Caller
from catalog.groups.names import matches
from catalog.types import Alias, Group, Model, Offer, Provider, Snapshot
from ccapi.core.errors import (
    GroupNotFound,
    ModelNotAllowed,
    ModelNotFound,
    NoProviderAvailable,
)
from gateway.routing.groups import resolve

CALLER = Caller(organization_id=1, organization="org_1", key_id=1, key="key_1")
STRANGER = Caller(organization_id=2, organization="org_2", key_id=2, key="key_2")
PROVIDER = Provider(
    id=1, name="a", display_name="A", protocol="openai", base_url="http://127.0.0.1:1/v1"
)


def model(model_id: str, **fields: object) -> Model:
    offer = Offer(id=1, model=model_id, provider=PROVIDER, upstream_model="one")
    usual = Model(
        id=model_id,
        provider="a",
        type="chat",
        display_name="One",
        created=0,
        context_length=8000,
        max_output_tokens=1000,
        capabilities=frozenset(),
        input_modalities=("text",),
        output_modalities=("text",),
        priority=0,
        price=None,
        offers=(offer,),
    )
    return msgspec.structs.replace(usual, **fields)


def group(
    name: str, aliases: dict[str, list[str]], owner: int | None = 1, **fields: object
) -> Group:
    rows = tuple(Alias(pattern=key, targets=tuple(value)) for key, value in aliases.items())
    made = Group(id=1, name=name, organization_id=owner, aliases=rows)
    return msgspec.structs.replace(made, **fields)


def snapshot(*groups: Group, active: str | None = None) -> Snapshot:
    models = [model(f"a/{name}") for name in ("one", "two", "three")]
    models += [model("a/draw", type="image"), model("cf/@x/y"), model("a/v@2")]
    return Snapshot(
        revision=1,
        models=MappingProxyType({each.id: each for each in models}),
        providers=MappingProxyType({"a": PROVIDER}),
        bare_names=MappingProxyType({each.name: each.id for each in models}),
        groups=MappingProxyType({(each.organization_id or 0, each.name): each for each in groups}),
        active_groups=MappingProxyType({} if active is None else {1: active}),
    )


def ids(catalog: Snapshot, name: str, prefix: str = "", caller: Caller = CALLER) -> list[str]:
    return [each.id for each in resolve(catalog, caller, name, prefix=prefix).models]


@pytest.mark.parametrize(
    ("pattern", "name", "is_one"),
    [
        ("claude-*", "claude-sonnet-4", True),
        ("claude-*", "claude-", True),
        ("claude-*", "Claude-x", False),
        ("claude-*", "a-claude-x", False),
        ("*", "", True),
        ("*", "any/thing@all", True),
        ("gpt-?", "gpt-4", True),
        ("gpt-?", "gpt-", False),
        ("gpt-?", "gpt-4o", False),
        ("*-4*o", "gpt-4-turbo", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*bc", "abcbc", True),
        ("a*?c", "ac", False),
        ("*ab?", "abxabx", True),
        ("[a-z].+", "x11", False),
        ("[a-z].+", "[a-z].+", True),
        ("a\\*", "a\\b", True),
        ("line*", "line\nbreak", True),
    ],
)
def test_patterns(pattern: str, name: str, is_one: bool) -> None:
    assert matches(pattern, name) is is_one


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert matches("*a" * 60 + "*b", "a" * 200) is False


def test_without_a_prefix_the_catalog_comes_first_then_own_default_then_the_platforms() -> None:
    own = group("default", {"a/one": ["a/two"], "x*": ["a/two"]})
    platform = group("default", {"x*": ["a/three"], "y": ["a/three"], "one": ["a/two"]}, None)
    catalog = snapshot(own, platform)

    assert ids(catalog, "a/one") == ["a/one"]
    assert ids(catalog, "xa") == ["a/two"]
    assert ids(catalog, "xa", caller=STRANGER) == ["a/three"]
    assert ids(catalog, "y") == ["a/three"]
    assert ids(catalog, "one") == ["a/two"], "an alias comes before a bare name"
    assert ids(catalog, "two") == ["a/two"]
    with pytest.raises(ModelNotFound):
        ids(catalog, "nothing")


def test_a_catalog_id_without_a_prefix_is_under_no_groups_rules() -> None:
    catalog = snapshot(group("default", {"*": ["a/two"]}))

    assert resolve(catalog, CALLER, "a/one").group is None
    found = resolve(catalog, CALLER, "x")
    assert found.group is catalog.groups[1, "default"]
    assert found.alias == "x"


def test_a_group_isolates_unless_it_allows_the_catalog() -> None:
    closed = group("closed", {"x": ["a/one"]})
    opened = group("opened", {"x": ["a/one"], "a/two": ["a/three"]}, allow_catalog=True)
    catalog = snapshot(closed, opened)

    assert ids(catalog, "x", "closed") == ["a/one"]
    for name in ("a/one", "one", "nothing", ""):
        with pytest.raises(ModelNotFound):
            ids(catalog, name, "closed")
    assert ids(catalog, "a/one", "opened") == ["a/one"]
    assert ids(catalog, "a/two", "opened") == ["a/three"], "its alias comes first"
    with pytest.raises(ModelNotFound):
        ids(catalog, "one", "opened")


def test_the_first_pattern_that_matches_wins() -> None:
    catalog = snapshot(group("g", {"c*": ["a/one"], "claude": ["a/two"]}))

    assert ids(catalog, "claude", "g") == ["a/one"]


def test_group_at_alias_works_with_and_without_a_prefix() -> None:
    catalog = snapshot(group("g", {"x": ["a/one"]}), group("h", {"x": ["a/two"]}))

    assert ids(catalog, "g@x") == ["a/one"]
    assert ids(catalog, "h@x", "g") == ["a/two"]
    assert resolve(catalog, CALLER, "h@x", prefix="g").alias == "x"
    with pytest.raises(ModelNotFound):
        ids(catalog, "g@y")


def test_an_at_without_a_group_before_it_is_part_of_the_name() -> None:
    catalog = snapshot(group("g", {"model@*": ["a/one"]}), group("v", {"2": ["a/one"]}))

    assert ids(catalog, "model@2024", "g") == ["a/one"]
    assert ids(catalog, "cf/@x/y") == ["cf/@x/y"]
    assert ids(catalog, "a/v@2") == ["a/v@2"]
    with pytest.raises(ModelNotFound):
        ids(catalog, "switch@x")


def test_another_organizations_group_is_not_there() -> None:
    catalog = snapshot(group("g", {"x": ["a/one"]}))

    with pytest.raises(GroupNotFound):
        ids(catalog, "x", "g", caller=STRANGER)
    with pytest.raises(ModelNotFound):
        ids(catalog, "g@x", caller=STRANGER)


def test_an_own_group_comes_before_the_platforms() -> None:
    catalog = snapshot(group("g", {"x": ["a/one"]}), group("g", {"x": ["a/two"]}, None))

    assert ids(catalog, "x", "g") == ["a/one"]
    assert ids(catalog, "x", "g", caller=STRANGER) == ["a/two"]


def test_a_disabled_group_is_not_there_and_does_not_uncover_the_platforms() -> None:
    catalog = snapshot(
        group("g", {"x": ["a/one"]}, disabled=True),
        group("g", {"x": ["a/two"]}, None),
        group("default", {"x": ["a/one"]}, disabled=True),
    )

    for name, prefix in [("x", "g"), ("g@x", "")]:
        with pytest.raises(GroupNotFound):
            ids(catalog, name, prefix)
    with pytest.raises(ModelNotFound):
        ids(catalog, "x")


def test_switch_is_the_active_group_and_until_then_no_prefix() -> None:
    g = group("g", {"x": ["a/one"]})

    assert ids(snapshot(g, active="g"), "x", "switch") == ["a/one"]
    assert ids(snapshot(g), "a/two", "switch") == ["a/two"]
    with pytest.raises(ModelNotFound):
        ids(snapshot(g, active="g"), "a/two", "switch")
    with pytest.raises(GroupNotFound):
        ids(snapshot(active="gone"), "x", "switch")


def test_the_path_default_without_such_a_group_is_not_there() -> None:
    with pytest.raises(GroupNotFound):
        ids(snapshot(), "a/one", "default")


def test_failover_keeps_the_order_and_round_robin_begins_evenly() -> None:
    targets = ["a/one", "a/two", "a/three"]
    ordered = snapshot(group("g", {"x": targets}))
    turning = snapshot(group("g", {"x": targets}, balance="round_robin"))

    firsts = []
    for seed in range(300):
        found = resolve(turning, CALLER, "x", prefix="g", seed=seed)
        assert {each.id for each in found.models} == set(targets)
        firsts.append(found.models[0].id)
        kept = resolve(ordered, CALLER, "x", prefix="g", seed=seed)
        assert [each.id for each in kept.models] == targets
    assert [firsts.count(each) for each in targets] == [100, 100, 100]


def test_targets_that_cannot_be_called_are_left_out() -> None:
    only_two = msgspec.structs.replace(CALLER, allowed_models=frozenset({"a/two"}))
    catalog = snapshot(
        group("g", {"x": ["a/one", "a/gone", "a/draw", "a/two"], "y": ["a/one"], "z": ["a/gone"]})
    )

    assert ids(catalog, "x", "g") == ["a/one", "a/two"]
    assert ids(catalog, "x", "g", caller=only_two) == ["a/two"]
    with pytest.raises(ModelNotAllowed):
        ids(catalog, "y", "g", caller=only_two)
    with pytest.raises(NoProviderAvailable):
        ids(catalog, "z", "g")
