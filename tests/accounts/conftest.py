"""A database of its own for tests that commit: other connections see what they do.

Cloned from the migrated test database by TEMPLATE, since append-only tables refuse TRUNCATE.
"""

import itertools
import os
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import DjangoDbBlocker

from tests.accounts.own_database import OwnDatabase, administer, leave

_number = itertools.count(1)


@pytest.fixture(scope="session")
def template(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The migrated test database; made here if no test of the run is marked `django_db`."""
    made = None
    with django_db_blocker.unblock():
        if not connection.settings_dict["NAME"].startswith(TEST_DATABASE_PREFIX):
            made = setup_databases(verbosity=0, interactive=False)
        yield connection.settings_dict["NAME"]
        if made:
            teardown_databases(made, verbosity=0)


@pytest.fixture
def own_database(template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[OwnDatabase]:
    name = f"{template}_{os.getpid()}_{next(_number)}"
    with django_db_blocker.unblock():
        leave()
        administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        connection.settings_dict["NAME"] = name
        try:
            yield OwnDatabase(name)
        finally:
            leave()
            connection.settings_dict["NAME"] = template
            administer(f'DROP DATABASE "{name}" WITH (FORCE)')
