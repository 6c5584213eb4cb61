"""Which providers make pictures."""

import pytest

from media_jobs.drivers.registry import driver_for


@pytest.mark.parametrize(
    ("protocol", "is_async"), [("openai", False), ("gemini", False), ("replicate", True)]
)
def test_a_driver_is_found_by_its_providers_protocol(protocol: str, *, is_async: bool) -> None:
    driver = driver_for(protocol)

    assert driver is not None
    assert (driver.name, driver.is_async) == (protocol, is_async)


def test_a_protocol_without_pictures_has_none() -> None:
    assert driver_for("anthropic") is None
