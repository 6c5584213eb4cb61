"""Databases of their own for tests that commit, cloned from one that is migrated once a run.

The append-only tables cannot be emptied after a test; and other connections, event loops and
processes do not see a test's transaction.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = "CCAPI_TEST_TEMPLATE"  # the environment's: this run's, in all of its processes
MIGRATING_S = 120.0


@dataclass
class OwnDatabase:
    """The clone that Django's default connection points to while the test runs."""

    name: str

    @property
    def url(self) -> str:
        """The `DATABASE_URL` of another process that is to use it."""
        return url_of(self.name)

    @contextmanager
    def away(self) -> Iterator[None]:
        """PostgreSQL refuses this database: open connections end, new ones are not accepted."""
        name = sql.Identifier(self.name)
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        with administering() as server:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            server.execute(sql.SQL(terminate).format(self.name))
        try:
            yield
        finally:
            with administering() as server:
                server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


@contextmanager
def own(name: str) -> Iterator[OwnDatabase]:
    """Django's default connection goes to a clone of this name, which is gone afterwards."""
    given = connection.settings_dict["NAME"]
    clone(name)
    try:
        leave()
        connection.settings_dict["NAME"] = name
        try:
            yield OwnDatabase(name)
        finally:
            leave()
            connection.settings_dict["NAME"] = given
    finally:
        drop(name)


def current() -> OwnDatabase:
    """Where Django's default connection goes to now."""
    return OwnDatabase(connection.settings_dict["NAME"])


def clone(name: str) -> None:
    """A database with our tables, empty but for what migrations put into them."""
    # A copy of the files: it takes half of what the blocks one by one through the log do.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    with administering() as server:
        template = _template(server)
        server.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def drop(name: str) -> None:
    """It is gone, with whoever is connected to it, or has never been."""
    with administering() as server:
        server.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def leave() -> None:
    """Close Django's connections, those that idle in its pool too."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend alone


@contextmanager
def administering() -> Iterator[psycopg.Connection]:
    """The tests' server, in none of the databases that come and go."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as server:
        yield server


def url_of(name: str) -> str:
    """A database's URL on the tests' server."""
    return urlunsplit(urlsplit(settings.DATABASE_URL)._replace(path="/" + name))


def begin() -> None:
    """Name the template of this run, for the processes that it starts, too."""
    os.environ[TEMPLATE] = f"ccapi_test_template_{os.getpid()}"


def end() -> None:
    """The run has ended, and its template with it."""
    with administering() as server:
        if _is_there(server, os.environ[TEMPLATE]):
            drop(os.environ[TEMPLATE])


def _template(server: psycopg.Connection) -> str:
    """The migrated database, made by who needs it first; the others wait."""
    name = os.environ[TEMPLATE]
    if _is_there(server, name):
        return name
    # The session's: a transaction would stand in the way of `VACUUM FULL`.
    server.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
    try:
        if not _is_there(server, name):
            _migrate(name)
    finally:
        server.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
    return name


def _is_there(server: psycopg.Connection, name: str) -> bool:
    return bool(server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone())


def _migrate(name: str) -> None:
    part = f"{name}_part"
    database, part_id = sql.Identifier(name), sql.Identifier(part)
    with administering() as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(part_id))
        server.execute(sql.SQL("CREATE DATABASE {}").format(part_id))
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": url_of(part),
                "DJANGO_SETTINGS_MODULE": "ccapi.settings",
            },
            timeout=MIGRATING_S,
            check=True,
        )
        with psycopg.connect(url_of(part), autocommit=True) as migrated:
            migrated.execute("VACUUM FULL")  # migrations leave a tenth of it empty
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(part_id, database))
