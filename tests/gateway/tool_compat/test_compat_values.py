import json

import pytest

from gateway.tool_compat.values import arguments_json

SCHEMA = {
    "type": "object",
    "$defs": {"Edit": {"type": "object", "properties": {"old": {"type": "string"}}}},
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer"},
        "ratio": {"type": "number"},
        "force": {"type": "boolean"},
        "edits": {"type": "array", "items": {"$ref": "#/$defs/Edit"}},
        "one": {"$ref": "#/$defs/Edit"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "mode": {"enum": ["fast", "slow"]},
        "either": {"type": ["string", "integer"]},
        "shouted": {"type": "INTEGER"},
    },
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("path", "12", "12"),
        ("path", " it's\n", " it's\n"),
        ("limit", "200", 200),
        ("limit", " 200\n", 200),
        ("limit", "5.0", 5),
        ("limit", "18446744073709551615", 2**64 - 1),
        ("limit", "-9223372036854775808", -(2**63)),
        ("limit", "5.5", "5.5"),
        ("limit", "many", "many"),
        ("ratio", "42.5", 42.5),
        ("ratio", "42.0", 42),
        ("ratio", "1e3", 1000.0),
        ("ratio", "NaN", "NaN"),
        ("force", "true", True),
        ("force", "True", True),
        ("force", "yes", "yes"),
        ("edits", '[{"old": "a"}]', [{"old": "a"}]),
        ("edits", '"[{\\"old\\": \\"a\\"}]"', [{"old": "a"}]),
        ("edits", "[broken", "[broken"),
        ("one", '{"old": "<b>"}', {"old": "<b>"}),
        ("maybe", "null", None),
        ("maybe", "3", 3),
        ("mode", "fast", "fast"),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("shouted", "7", 7),
    ],
)
def test_a_value_is_typed_by_the_schema(name: str, text: str, value: object) -> None:
    read = json.loads(arguments_json([(name, "", text)], SCHEMA))

    assert read == {name: value}
    assert type(read[name]) is type(value)


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("usize", "3", 3),
        ("f64", "3.5", 3.5),
        ("bool", "false", False),
        ("vec", "[1]", [1]),
        ("dict", '{"a":1}', {"a": 1}),
        ("null", "null", None),
        ("", "3", "3"),
        ("nonsense", "3", "3"),
    ],
)
def test_without_a_schema_the_written_type_counts(declared: str, text: str, value: object) -> None:
    assert json.loads(arguments_json([("x", declared, text)], {})) == {"x": value}


def test_the_schema_wins_over_the_written_type() -> None:
    assert json.loads(arguments_json([("path", "integer", "12")], SCHEMA)) == {"path": "12"}


def test_the_last_of_two_arguments_of_one_name_counts() -> None:
    given = [("path", "", "a"), ("path", "", "b")]

    assert json.loads(arguments_json(given, SCHEMA)) == {"path": "b"}


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"$defs": {"A": {"$ref": "#/$defs/A"}}, "properties": {"x": {"$ref": "#/$defs/A"}}}

    assert json.loads(arguments_json([("x", "", "1")], schema)) == {"x": "1"}
