"""A database that commits are real in, and that can go away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import psycopg
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.conninfo import make_conninfo


@dataclass
class OwnDatabase:
    """The clone that Django's default connection points to while the test runs."""

    name: str

    def url(self) -> str:
        """The same as a `DATABASE_URL`, for another process."""
        of = connection.settings_dict
        query = urlencode({key: of[key.upper()] for key in ("host", "port") if of[key.upper()]})
        login = f"{quote(of['USER'])}:{quote(of['PASSWORD'])}@"
        return f"postgresql://{login}/{quote(self.name)}?{query}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """PostgreSQL refuses this database: open connections end, new ones are not accepted."""
        administer(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS false')
        administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", self.name
        )
        try:
            yield
        finally:
            administer(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS true')


def administer(statement: str, *params: str) -> None:
    of = connection.settings_dict
    given = {"user": of["USER"], "password": of["PASSWORD"], "host": of["HOST"], "port": of["PORT"]}
    present = {key: value for key, value in given.items() if value}
    with psycopg.connect(make_conninfo(dbname="postgres", **present), autocommit=True) as admin:
        admin.execute(statement.encode(), params)


def leave() -> None:
    """Close Django's connections, those that idle in its pool too: a template must have none."""
    default = connections["default"]
    default.close()
    if isinstance(default, DatabaseWrapper):
        default.close_pool()
