"""The catalog file: what is read from it, and how its mistakes are named."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from catalog import units
from catalog.file import document
from catalog.file.entries import KEEP, Document
from catalog.file.reading import DocumentError, Source, parse_yaml
from tests.catalog.catalog_documents import model, provider

ENVIRON = {"ALPHA_KEY": "secret-a", "ALPHA_HOST": "alpha.example"}


def read(text: str) -> Document:
    data, source = parse_yaml(text)
    return document.read(data, source, ENVIRON, seed=False)


def read_plain(data: object) -> Document:
    return document.read(data, Source(), ENVIRON, seed=False)


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_is_named_with_its_line_and_field() -> None:
    found = problems(
        """\
providers:
  - name: alpha
    protocol: openai
    base_url: https://alpha.example/v1
    api_key: ${MISSING}
    colour: red
  - name: Beta
    protocol: smoke
    base_url: ftp://beta.example
models:
  - id: alpha/one
    prices:
      input: 0.15
      output: "1e3"
    context_length: many
  - id: alpha
    prices: {input: "1", output: "-2", spice: "3"}
"""
    )

    assert [each.partition(": ")[0] for each in found] == [
        "line 5", "line 6", "line 7", "line 8", "line 8", "line 9",
        "line 13", "line 14", "line 15", "line 16", "line 17", "line 17",
    ]  # fmt: skip
    assert found[0] == ("line 5: providers[0].api_key: the environment variable MISSING is not set")
    assert found[1] == "line 6: providers[0].colour: is unknown here"
    assert found[6].startswith("line 13: models[0].prices.input: must be dollars in quotes")
    assert "spice: is no unit of price; known are input, output" in "\n".join(found)


@pytest.mark.parametrize("name", ["mcp_servers"])
def test_what_comes_later_is_refused_with_its_line(name: str) -> None:
    found = problems(f"providers: []\nmodels: []\n{name}:\n  - name: gemini\n")

    assert found == [f"line 3: {name}: is not supported by this version; take it out"]


def test_text_that_is_no_yaml_is_refused_with_its_line() -> None:
    assert problems("providers:\n  - name: a\n   bad: b\n")[0].startswith("line 3: ")


def test_a_field_that_stands_twice_is_refused() -> None:
    found = problems("markup: '1'\nmarkup: '2'\n")

    assert found == ["line 2: markup: stands here twice"]


def test_a_provider_or_model_that_stands_twice_is_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        read_plain(
            {"providers": [provider("a"), provider("a")], "models": [model("a/x"), model("a/x")]}
        )

    assert [problem.field for problem in caught.value.problems] == [
        "providers[1].name",
        "models[1].id",
    ]


def test_keys_and_addresses_come_from_the_environment() -> None:
    found = read(
        """
providers:
  - name: alpha
    protocol: openai
    base_url: https://${ALPHA_HOST}/v1/
    api_key: ["${ALPHA_KEY}", literal-key]
"""
    ).providers[0]

    assert found.api_keys == ("secret-a", "literal-key")
    assert found.columns["base_url"] == "https://alpha.example/v1"
    assert found.key_variables == ("ALPHA_KEY",)


def test_a_disabled_provider_may_name_a_variable_that_is_not_set() -> None:
    entry = read_plain({"providers": [provider("a", api_key="${MISSING}", enabled=False)]})

    assert entry.providers[0].api_keys == KEEP
    assert entry.providers[0].columns["needs_key"] is True


def test_no_api_key_is_a_keyless_server_and_keep_keeps() -> None:
    keyless = provider("a")
    del keyless["api_key"]
    entries = read_plain({"providers": [keyless, provider("b", api_key="keep")]}).providers

    assert (entries[0].api_keys, entries[0].columns["needs_key"]) == ((), False)
    assert (entries[1].api_keys, entries[1].columns["needs_key"]) == (KEEP, True)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_url": "https://user:pass@a.example/v1"}, "base_url"),
        ({"base_url": "https://a.example/v1?key=1"}, "base_url"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "headers.x-a"),
        ({"headers": {"bad name": "1"}}, "headers.bad name"),
        ({"auth": "basic"}, "auth"),
        ({"timeouts": {"idle": 0}}, "timeouts.idle"),
        ({"timeouts": {"ilde": 3}}, "timeouts.ilde"),
        ({"limits": {"rpm": -1}}, "limits.rpm"),
        ({"on_disconnect": "wait"}, "on_disconnect"),
        ({"enabled": "yes"}, "enabled"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": ["a key"]}, "api_key"),
    ],
)
def test_a_provider_with_a_wrong_field_is_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_plain({"providers": [provider("a", **fields)]})

    assert [problem.field for problem in caught.value.problems] == [f"providers[0].{field}"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prices": {"input": "1"}}, "prices"),
        ({"prices": {}}, "prices"),
        ({"prices": {"input": 0.5, "output": "1"}}, "prices.input"),
        ({"prices": {"input": True, "output": "1"}}, "prices.input"),
        ({"prices": {"input": "0.0000000000001", "output": "1"}}, "prices.input"),
        ({"tiers": [{"above_input_tokens": 5, "prices": {"input": "x"}}]}, "tiers[0].prices.input"),
        ({"tiers": [{"above_input_tokens": 5}]}, "tiers[0].prices"),
        ({"costs": {"cache_read": "1"}}, "costs.cache_read"),
        ({"effective_from": "soon"}, "effective_from"),
        ({"type": "video"}, "type"),
        ({"capabilities": "streaming"}, "capabilities"),
        ({"offers": [{"upstream_model": "x"}]}, "offers[0].provider"),
        ({"upstreammodel": "x"}, "upstreammodel"),
    ],
)
def test_a_model_with_a_wrong_field_is_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_plain({"models": [model("a/x", **fields)]})

    assert f"models[0].{field}" in [problem.field for problem in caught.value.problems]


def test_tiers_must_ascend() -> None:
    tier = {"above_input_tokens": 10, "prices": {"input": "2"}}

    with pytest.raises(DocumentError, match="must be above that of the tier before"):
        read_plain({"models": [model("a/x", tiers=[tier, tier])]})


def test_tiers_variants_and_costs_become_lines() -> None:
    entry = read_plain(
        {
            "models": [
                model(
                    "a/x",
                    costs={"input": "0.5"},
                    tiers=[{"above_input_tokens": 200_000, "prices": {"input": "2.00"}}],
                    variants={"flex": {"input": "0.50"}, "1024x1024/hd": {"image": "0.08"}},
                )
            ]
        }
    ).models[0]

    found = {(each.unit, each.tier_start, each.variant): each for each in entry.prices}
    assert found["input", 0, ""].sell == Decimal("1.00")
    assert found["input", 0, ""].cost == Decimal("0.5")
    assert found["output", 0, ""].cost is None
    assert found["input", 200_000, ""].sell == Decimal("2.00")
    assert found["input", 0, "flex"].sell == Decimal("0.50")
    assert found["image", 0, "1024x1024/hd"].sell == Decimal("0.08")


def test_an_instant_without_a_zone_is_utc() -> None:
    entry = read(
        "models:\n  - {id: a/x, effective_from: 2027-01-01, prices: {input: '1', output: '1'}}"
    )

    assert entry.models[0].effective_from == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["0.0375", "0", "15", "1.50", "0.000000000001"])
def test_a_price_survives_writing_and_reading(text: str) -> None:
    assert units.price(units.written(units.price(text))) == Decimal(text)


@pytest.mark.parametrize("name", ["flex", "1024x1024", "1024x1536/high", "auto/low"])
def test_a_variant_survives_writing_and_reading(name: str) -> None:
    assert units.variant_name(units.variant(name)) == name
