"""CSV that no spreadsheet runs."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ccapi.core import sheets


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", '=cmd|"/c calc"!A1']
)
def test_a_text_that_a_spreadsheet_would_run_is_made_a_text(text: str) -> None:
    assert read(sheets.lines([[text]])) == [["'" + text]]


def test_numbers_keep_their_sign_and_values_their_words() -> None:
    assert read(sheets.lines([[-1, 0.5, None, True, False]])) == [
        ["-1", "0.5", "", "true", "false"]
    ]


@examples(deadline=None)  # the machine may be busy
@given(st.lists(st.lists(st.text(), min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_text_comes_back_whole_and_none_begins_like_a_formula(rows: list[list[str]]) -> None:
    wide = [["a", *row] for row in rows]  # a row of one empty cell is an empty line to readers

    found = read(sheets.lines(wide))

    assert [[cell.removeprefix("'") for cell in row] for row in found] == [
        [cell.removeprefix("'") for cell in row] for row in wide
    ]
    assert not any(cell.lstrip(" ").startswith(sheets.FORMULA) for row in found for cell in row)
