"""`manage.py db url` and `db psql`: the database, for a person."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ccapi.devserver import processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.data_dir import open_data_dir
from ccapi.devserver.postgres import Postgres, find_programs
from ccapi.devserver.processes import StartFailed
from ccapi.devserver.servers import open_servers


def db(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one of the two. What follows `psql` goes to psql."""
    match arguments:
        case ["url"]:
            return _print_url(environment)
        case ["psql", *rest]:
            return _run_psql(rest, environment)
        case _:
            sys.exit("Usage: manage.py db url | manage.py db psql [arguments of psql]")


def _print_url(environment: Mapping[str, str]) -> int:
    url = environment.get("DATABASE_URL")
    if not url:
        data = open_data_dir(environment, ROOT)
        if not (data.path / "secrets.json").exists():
            sys.exit("There is no embedded database yet: `manage.py serve` makes it.")
        url = Postgres(data).url
        if not (data.read("servers") or {}).get("ready"):
            print("The database is not running; `manage.py serve` starts it.", file=sys.stderr)
    print(url)
    return 0


def _run_psql(arguments: list[str], environment: Mapping[str, str]) -> int:
    program = _psql()
    if program is None:
        sys.exit("There is no psql here. Install one and give it what `manage.py db url` prints.")
    data = open_data_dir(environment, ROOT)
    servers = open_servers(data, {"REDIS_URL": "not needed", **environment}, owner="db psql")
    try:
        facts = conninfo_to_dict(servers.environment["DATABASE_URL"])
        # By the environment: an argument would show the password to everybody on the machine.
        password = {"PGPASSWORD": str(facts.pop("password"))} if "password" in facts else {}
        command = [program, "-d", make_conninfo("", **facts), *arguments]
        # At the terminal Ctrl-C is for psql, which cancels its query; we wait for it to end.
        signal.signal(signal.SIGINT, lambda *_: None)
        process = processes.spawn(
            command, environment={**os.environ, **password}, stdin=None, own_session=False
        )
        return process.wait()
    finally:
        servers.wait_for_guests()
        servers.close()


def _psql() -> str | None:
    try:
        embedded = find_programs() / "psql"
    except StartFailed:
        return shutil.which("psql")
    return str(embedded) if embedded.exists() else shutil.which("psql")
