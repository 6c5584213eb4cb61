"""Databases of their own for tests that commit, cloned from the migrated test database by TEMPLATE.

The money's tables are append-only, so they cannot be emptied after a test; and other connections,
event loops and processes do not see a test's transaction.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test.utils import setup_databases, teardown_databases
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from tests.billing.money import Bank, administer, leave, open_bank

_number = itertools.count(1)


@pytest.fixture(autouse=True)
def spool_dir(settings: Settings, tmp_path: Path) -> Path:
    """No test leaves settlements where another process would find them."""
    settings.CCAPI_SPOOL_DIR = tmp_path / "spool"
    return tmp_path / "spool"


@pytest.fixture(scope="session")
def template(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A migrated database that nobody is connected to."""
    made = None
    with django_db_blocker.unblock():
        if not connection.settings_dict["NAME"].startswith(TEST_DATABASE_PREFIX):
            # No test of this run is marked django_db, so pytest-django has made none.
            made = setup_databases(verbosity=0, interactive=False)
        migrated = connection.settings_dict["NAME"]
        name = f"{migrated}_money_{os.getpid()}"
        leave()
        administer(f'CREATE DATABASE "{name}" TEMPLATE "{migrated}"')
        yield name
        administer(f'DROP DATABASE "{name}" WITH (FORCE)')
        if made:
            teardown_databases(made, verbosity=0)


@pytest.fixture
def database(template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database of this test's own; Django's default connection points to it meanwhile."""
    name = f"{template}_{next(_number)}"
    migrated = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        leave()
        administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        connection.settings_dict["NAME"] = name
        try:
            yield name
        finally:
            leave()
            connection.settings_dict["NAME"] = migrated
            administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def bank(database: str) -> Bank:
    """An organization without credit, a key and a priced model, in a database of its own."""
    return open_bank()
