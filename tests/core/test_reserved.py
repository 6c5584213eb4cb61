"""Names that no group may have: every first segment that a route has."""

import pytest

from ccapi.core import reserved


def test_every_first_segment_of_a_route_is_on_the_list() -> None:
    """A new route fails here until its first segment is on the list, which the database copies."""
    assert reserved.route_names() - reserved.RESERVED == frozenset()


def test_both_route_tables_are_looked_through() -> None:
    found = reserved.route_names()

    assert {"admin", "models", "credits"} <= found, "Django's, also below an include"
    assert {"chat", "livez"} <= found, "those beside it"
    assert "v1" in found


@pytest.mark.parametrize("name", ["v1", "Admin", "PORTAL", "livez", ".well-known"])
def test_a_reserved_name_is_one_in_any_case(name: str) -> None:
    assert reserved.is_reserved(name)


@pytest.mark.parametrize("name", ["default", "team-a", "modelsmith", "v3", ""])
def test_other_names_are_free(name: str) -> None:
    assert not reserved.is_reserved(name)
