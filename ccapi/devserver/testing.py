"""`manage.py test`: pytest on databases of its own, which are gone afterwards however it ends."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from signal import SIGINT

import psycopg
from psycopg import sql

from ccapi.devserver import processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.console import say
from ccapi.devserver.data_dir import DataDir, temporary_data_dir
from ccapi.devserver.servers import open_servers
from ccapi.devserver.supervisor import Interrupted, interruptible

# They come along with the embedded servers' wheels, whose Python layers we do not use.
WITHOUT_PLUGINS = ("-p", "no:valkey", "-p", "no:platformdirs")
HURRIED = (
    "fsync = off",
    "full_page_writes = off",
    "synchronous_commit = off",
    # Who connects and then says nothing more holds up `DROP DATABASE`: by default for a minute.
    "authentication_timeout = 5",
)
GRACE_S = 10.0  # for fixtures to stop what they have started
# Reads until we are gone, however that happens, and then removes the folder. Servers that are just
# ending may still write into it, so it tries for a while.
JANITOR = (
    'read _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && break; sleep 0.1; done'
)


def test(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run pytest with these arguments; its exit code."""
    given = all(environment.get(name) for name in ("DATABASE_URL", "REDIS_URL"))
    with interruptible():
        try:
            if given:
                return _pytest(arguments, dict(environment))
            with temporary() as data:
                servers = open_servers(data, environment, owner="test")
                try:
                    if not environment.get("DATABASE_URL"):
                        _hurry(servers.environment["DATABASE_URL"])
                    return _pytest(arguments, servers.environment)
                finally:
                    servers.close()
        except Interrupted as interrupted:
            say(f"{interrupted}: stopped.")
            return interrupted.exit_code


@contextmanager
def temporary() -> Iterator[DataDir]:
    """A data folder that is gone afterwards, also where we are killed."""
    data = temporary_data_dir()
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", JANITOR, "sh", str(data.path)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # out of reach of a Ctrl-C, and of a kill of our process group
        cwd="/",
    )
    try:
        yield data
    finally:
        janitor.communicate()  # closes its input, and waits until the folder is gone


def _hurry(database_url: str) -> None:
    """Let PostgreSQL wait for no disk: hundreds of databases are made here, and none is kept.

    What a crash must not take is tested on servers of the tests' own, which keep their settings.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting in HURRIED:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        # Nor are passwords made slow to guess: thousands of sessions log in.
        connection.execute("SET scram_iterations = 1")
        again = sql.SQL("ALTER USER CURRENT_USER PASSWORD {}")
        connection.execute(again.format(connection.info.password))
        connection.execute("SELECT pg_reload_conf()")


def _pytest(arguments: list[str], environment: dict[str, str]) -> int:
    process = processes.spawn(
        [sys.executable, "-m", "pytest", *WITHOUT_PLUGINS, *arguments],
        environment=environment,
        folder=ROOT,
        stdin=None,
    )
    try:
        return process.wait()
    except Interrupted:
        processes.stop(
            process, SIGINT, GRACE_S
        )  # pytest closes its fixtures and tells what it has seen
        raise
