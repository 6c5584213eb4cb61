import os
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from billing import gauges
from ccapi.core import alerts, metrics
from ccapi.core.alerts import Kind, Told, telling


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    found: list[Told] = []
    monkeypatch.setattr(telling, "queue", found.append)
    monkeypatch.setattr(alerts, "_quiet_until", {})
    return found


def test_a_spool_that_nobody_clears_within_a_minute_alarms(
    tmp_path: Path, settings: Settings, told: list[Told]
) -> None:
    settings.CCAPI_SPOOL_DIR = tmp_path
    (tmp_path / "1-a.jsonl").write_text("")
    (tmp_path / "rejected.jsonl").write_text("")

    gauges.sample()
    assert metrics.SPOOL_FILES.value() == 1
    assert told == []
    old = time.time() - gauges.WAITS_S_MAX - 5
    os.utime(tmp_path / "1-a.jsonl", (old, old))
    gauges.sample()

    assert metrics.SPOOL_AGE.value() == pytest.approx(gauges.WAITS_S_MAX + 5, abs=2)
    assert [each.kind for each in told] == [Kind.SPOOL_WAITS]


def test_no_spool_is_nothing_to_tell(tmp_path: Path, settings: Settings, told: list[Told]) -> None:
    settings.CCAPI_SPOOL_DIR = tmp_path / "never made"

    gauges.sample()

    assert metrics.SPOOL_FILES.value() == metrics.SPOOL_AGE.value() == 0
    assert told == []
