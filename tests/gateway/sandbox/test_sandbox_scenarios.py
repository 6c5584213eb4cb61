"""The table of scenarios and the rule of counting, without a server."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import media_scenarios
from gateway.sandbox.answers import Ask, Call, compose
from gateway.sandbox.scenarios import SCENARIOS, TOLD, Chosen, choose, markdown_table
from gateway.sandbox.tokens import count, split


@given(st.text())
def test_tokens_joined_are_the_text_and_never_more_than_its_bytes(text: str) -> None:
    assert "".join(split(text)) == text
    assert count(text) == len(split(text)) <= len(text.encode("utf-8", "surrogatepass"))


def test_tokens_can_be_counted_by_hand() -> None:
    assert split("Hello there,  world\n") == ("Hello", " there,", "  world", "\n")
    assert split("x" * 33) == ("x" * 16, "x" * 16, "x")
    assert count("") == 0


def test_a_number_after_the_name_is_read_where_the_scenario_takes_one() -> None:
    assert choose("stall:0.5") == Chosen("stall", 0.5)
    assert choose("stall") == Chosen("stall", None)
    assert choose("absurd-usage:-3") == Chosen("absurd-usage", -3.0)


@pytest.mark.parametrize("model", ["", "nothing", "echo:1", "stall:", "stall:x", "stall:nan"])
def test_a_name_outside_the_table_is_no_model(model: str) -> None:
    assert choose(model) is None


def test_the_printed_table_has_one_line_for_each_scenario() -> None:
    rows = markdown_table().splitlines()[2:]

    assert [row.split("`")[1] for row in rows] == list(SCENARIOS)
    assert {row.count("|") for row in rows} == {6}


def test_the_customers_page_has_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")

    assert markdown_table() in page
    spoken = media_scenarios.markdown_table(media_scenarios.SPEECH, "you get (streamed)")
    painted = map(
        media_scenarios.markdown_table, (media_scenarios.IMAGES, media_scenarios.ASYNC_IMAGES)
    )
    assert all(table in page for table in (spoken, *painted))
    assert TOLD.keys() <= SCENARIOS.keys()


def ask(text: str, **fields: object) -> Ask:
    return Ask(model="echo", text=text, input_tokens=1, **fields)  # type: ignore[arg-type]  # a test's short way


def test_several_calls_in_a_text_are_several_calls_byte_for_byte() -> None:
    answer = compose(ask('call a {"x":  1.0}\n call b {}', tools=("a", "b")), Chosen("echo"))

    assert answer.calls == (Call("a", '{"x":  1.0}'), Call("b", "{}"))


@pytest.mark.parametrize(
    "text", ['call a {"x": }', "call a {} and more", "call c {}", 'call a {"x": NaN}', "call a"]
)
def test_what_is_not_wholly_calls_of_known_tools_is_echoed(text: str) -> None:
    answer = compose(ask(text, tools=("a", "b")), Chosen("echo"))

    assert answer.calls == ()
    assert "".join(answer.text) == text


def test_a_call_that_does_not_fit_is_left_out_whole() -> None:
    answer = compose(ask('call a {"x": 1}', tools=("a",), max_tokens=2), Chosen("echo"))

    assert (answer.calls, answer.finish) == ((), "length")


def test_the_earliest_of_several_stop_sequences_ends_the_text() -> None:
    answer = compose(ask("one two three", stop=("three", "two")), Chosen("echo"))

    assert ("".join(answer.text), answer.stop_sequence) == ("one ", "two")
