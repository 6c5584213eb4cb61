"""`x-ccapi-dropped`: names that clients made up, in a header that must stay one."""

import pytest

from gateway.exchange import DROPPED_BYTES_MAX, told_names


def test_names_as_they_usually_are_stand_as_they_are() -> None:
    assert told_names(("seed", "messages[0].name", "a-b_c")) == b"seed,messages[0].name,a-b_c"


@pytest.mark.parametrize("name", ["a\r\nset-cookie: x=1", "ú\x9d", "a,b", "\ud800", "\0"])
def test_a_name_cannot_break_out_of_its_header(name: str) -> None:
    told = told_names((name,))

    assert told.isascii()
    assert told.decode().isprintable()
    assert b"," not in told


def test_many_names_are_cut_between_two_of_them() -> None:
    told = told_names(tuple(f"field{number}" for number in range(10_000)))

    assert len(told) <= DROPPED_BYTES_MAX
    assert told.split(b",")[-1].decode() in {f"field{number}" for number in range(10_000)}
