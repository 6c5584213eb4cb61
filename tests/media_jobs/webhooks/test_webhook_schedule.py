"""When deliveries are tried again."""

from datetime import UTC, datetime

import pytest
from django.conf import settings

from media_jobs.webhooks.schedule import asked_s, pause_s

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_by_default_it_is_tried_ten_times_over_a_day() -> None:
    schedule = settings.CCAPI_WEBHOOK_SCHEDULE_S

    pauses = [pause_s(schedule, turn) for turn in range(1, 11)]

    assert pauses[-1] is None
    assert [each is None for each in pauses].index(True) == 9
    whole = sum(each for each in pauses if each is not None)
    assert 0.9 * 86400 <= whole <= 1.1 * 86400
    assert pauses[0] is not None
    assert 4.5 <= pauses[0] <= 5.5


def test_pauses_are_not_the_same_for_all() -> None:
    assert len({pause_s((0.0, 100.0), 1) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999", 86400),
        ("99999999999999999999", 0),
        ("-5", 0),
        ("1.5", 0),
        ("١٢", 0),
        ("soon", 0),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 12:00:00 GMT", 86400),
        ("Sun, 22 Nov 2026 12:01:30", 0),
    ],
)
def test_a_receiver_says_how_long_to_wait(header: str, seconds: float) -> None:
    assert asked_s(header, now=NOW) == seconds
