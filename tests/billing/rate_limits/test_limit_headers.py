"""Durations as OpenAI's headers write them."""

import pytest

from billing.rate_limits.headers import duration


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, b"0ms"),
        (12, b"12ms"),
        (999, b"999ms"),
        (1_000, b"1s"),
        (8_640, b"8.64s"),
        (59_999, b"59.999s"),
        (60_000, b"1m0s"),
        (86_400, b"1m26.4s"),
        (360_000, b"6m0s"),
    ],
)
def test_a_duration_reads_as_openai_writes_it(milliseconds: int, text: bytes) -> None:
    assert duration(milliseconds) == text
