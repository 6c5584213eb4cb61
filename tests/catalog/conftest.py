"""Fixtures of the catalog's tests: a small catalog, and a database whose commits others see."""

import pytest

from catalog import api
from tests.catalog.catalog_documents import small
from tests.databases import OwnDatabase


@pytest.fixture
def catalog(db: None) -> None:
    """The small catalog, in this test's transaction."""
    api.import_document(small())


@pytest.fixture
def own_database(own_database: OwnDatabase) -> OwnDatabase:
    """With the small catalog."""
    api.import_document(small())
    return own_database
