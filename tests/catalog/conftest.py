"""Fixtures of the catalog's tests: a small catalog, and a database whose commits others see."""

import itertools
import os
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import DjangoDbBlocker

from catalog import api
from tests.accounts.own_database import OwnDatabase, administer, leave
from tests.catalog.catalog_documents import small

_number = itertools.count(1)


@pytest.fixture
def catalog(db: None) -> None:
    """The small catalog, in this test's transaction."""
    api.import_document(small())


@pytest.fixture(scope="session")
def catalog_template(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The migrated test database; made here if no test of the run is marked `django_db`."""
    made = None
    with django_db_blocker.unblock():
        if not connection.settings_dict["NAME"].startswith(TEST_DATABASE_PREFIX):
            made = setup_databases(verbosity=0, interactive=False)
        yield connection.settings_dict["NAME"]
        if made:
            teardown_databases(made, verbosity=0)


@pytest.fixture
def own_database(
    catalog_template: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[OwnDatabase]:
    """A clone with the small catalog, for tests whose commits other loops and processes see."""
    name = f"{catalog_template}_c{os.getpid()}_{next(_number)}"
    with django_db_blocker.unblock():
        leave()
        administer(f'CREATE DATABASE "{name}" TEMPLATE "{catalog_template}"')
        connection.settings_dict["NAME"] = name
        try:
            api.import_document(small())
            yield OwnDatabase(name)
        finally:
            leave()
            connection.settings_dict["NAME"] = catalog_template
            administer(f'DROP DATABASE "{name}" WITH (FORCE)')
