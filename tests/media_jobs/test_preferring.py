"""`Prefer`: what is understood, and what is no preference."""

import pytest

from media_jobs.preferring import Wish, read


@pytest.mark.parametrize(
    ("values", "wish"),
    [
        ([], Wish()),
        (["respond-async"], Wish(is_async=True)),
        (["Respond-Async, wait=10"], Wish(is_async=True, wait_s=10.0)),
        (["wait=5", "respond-async"], Wish(is_async=True, wait_s=5.0)),
        (['wait="7"; strict'], Wish(wait_s=7.0)),
        (["wait=soon", "return=minimal"], Wish()),
        (["wait=3, wait=9"], Wish(wait_s=3.0)),
        (["wait=" + "9" * 40], Wish(wait_s=999999.0)),
    ],
)
def test_a_preference_is_read_as_its_rfc_says(values: list[str], wish: Wish) -> None:
    headers = [(b"accept", b"*/*"), *((b"prefer", value.encode()) for value in values)]

    assert read(headers) == wish
