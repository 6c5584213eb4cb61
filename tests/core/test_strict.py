"""Bodies that refuse what they do not know, and times in queries."""

from datetime import UTC, datetime

import pytest
from rest_framework.exceptions import ValidationError

from ccapi.core.errors import GatewayError
from ccapi.core.rest import translate
from ccapi.core.strict import (
    Flag,
    Instant,
    QuerySerializer,
    StrictSerializer,
    Text,
    Whole,
    validated,
)


class Inner(StrictSerializer):
    count = Whole(required=False)


class Body(StrictSerializer):
    name = Text(required=False)
    flag = Flag(required=False)
    inner = Inner(required=False)


class Span(QuerySerializer):
    at = Instant(default=None)


def refused(body: object) -> GatewayError:
    with pytest.raises(ValidationError) as error:
        validated(Body(data=body))
    found = translate(error.value)
    assert found is not None
    assert found.status == 400
    return found


def test_known_fields_of_their_types_pass() -> None:
    body = {"name": "a", "flag": False, "inner": {"count": 3}}

    assert validated(Body(data=body)) == body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"nam": "a"}, "nam"),
        ({"inner": {"counts": 1}}, "inner.counts"),
        ({"name": 7}, "name"),
        ({"name": True}, "name"),
        ({"name": None}, "name"),
        ({"flag": "yes"}, "flag"),
        ({"flag": 1}, "flag"),
        ({"inner": {"count": "3"}}, "inner.count"),
        ({"inner": {"count": True}}, "inner.count"),
        ({"inner": {"count": 3.5}}, "inner.count"),
        ({"inner": [1]}, "inner"),
        ([], None),
    ],
)
def test_what_is_unknown_or_of_another_type_is_refused_by_name(
    body: object, param: str | None
) -> None:
    assert refused(body).param == param


def test_a_long_name_of_an_unknown_field_is_cut() -> None:
    assert len(refused({"x" * 1000: 1}).message) < 200


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-10-07", "UTC", datetime(2026, 10, 7, tzinfo=UTC)),
        ("2026-10-07", "Asia/Kolkata", datetime(2026, 10, 6, 18, 30, tzinfo=UTC)),
        ("2026-10-07T12:00:00Z", "Asia/Kolkata", datetime(2026, 10, 7, 12, tzinfo=UTC)),
        ("2026-10-07T12:00:00+02:00", "UTC", datetime(2026, 10, 7, 10, tzinfo=UTC)),
        ("2026-10-07T12:00", "Europe/Berlin", datetime(2026, 10, 7, 10, tzinfo=UTC)),
        ("1780000000", "Asia/Kolkata", datetime.fromtimestamp(1780000000, UTC)),
    ],
)
def test_a_time_may_be_said_in_several_ways(text: str, zone: str, expected: datetime) -> None:
    given = validated(Span(data={"at": text}, context={"timezone": zone}))

    assert given["at"] == expected


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-13-01", "0001-01-01", "9999-12-31T23:59:59-23:59", "-1"),
        *("9" * 400, "2026-10-07T12:00:00 02:00", "٢٠٢٦", "1" * 12),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no time"):
        validated(Span(data={"at": text}))


def test_an_empty_parameter_is_as_good_as_none_and_an_unknown_one_is_ignored() -> None:
    assert validated(Span(data={"at": "", "utm_source": "mail"})) == {"at": None}
