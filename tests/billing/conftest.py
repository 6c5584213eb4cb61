"""A bank in a database of each test's own."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.billing.money import Bank, open_bank
from tests.databases import OwnDatabase


@pytest.fixture(autouse=True)
def spool_dir(settings: Settings, tmp_path: Path) -> Path:
    """No test leaves settlements where another process would find them."""
    settings.CCAPI_SPOOL_DIR = tmp_path / "spool"
    return tmp_path / "spool"


@pytest.fixture
def bank(own_database: OwnDatabase) -> Bank:
    """An organization without credit, a key and a priced model, in a database of its own."""
    return open_bank()
