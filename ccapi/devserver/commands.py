"""What `manage.py` does, by the name of the command: our own ones, and every one of Django's.

A Django command attaches to the servers of a running `serve`, or starts them for its own life. In
production there are no servers of ours: the environment names them.
"""

import os
import signal
import sys
from collections.abc import MutableMapping

from ccapi.devserver import lock
from ccapi.devserver.bootstrap import ROOT, CannotBootstrap
from ccapi.devserver.console import say

# Those that look at no database, or start servers of their own.
WITHOUT_SERVERS = {
    "",
    "help",
    "--help",
    "-h",
    "version",
    "--version",
    "check",
    "collectstatic",
    "startapp",
    "prove",
    "bench",
}
OWN = """
CCAPI's own commands:

  serve   everything, from a fresh clone: databases, models, a first key, the web
  test    the test suite on databases of its own; arguments go to pytest
  prove   our promises, checked: overdraft, failover, crash, all
  bench   what a request costs, measured
  db      `db url`, `db psql`: the database, for a person
  lock    compile requirements/*.in into the hash-locked requirements/*.txt
"""


def run(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    command, rest = (arguments[0] if arguments else ""), arguments[1:]
    if command == "lock":
        try:
            return lock.lock(rest)
        except CannotBootstrap as error:
            sys.exit(f"{error}")
    if os.environ.get("CCAPI_ENV") == "production":
        if command in {"serve", "test"}:
            sys.exit(f"`{command}` makes its own servers, and CCAPI_ENV is production.")
        return _django(arguments)
    return _with_servers(command, rest, arguments)


def _with_servers(command: str, rest: list[str], arguments: list[str]) -> int:
    from ccapi.devserver.data_dir import DataDirUnusable
    from ccapi.devserver.dbtool import db
    from ccapi.devserver.processes import StartFailed
    from ccapi.devserver.serve import serve
    from ccapi.devserver.servers import InUse
    from ccapi.devserver.testing import test

    try:
        match command:
            case "serve":
                return serve(rest, os.environ)
            case "test":
                return test(rest, os.environ)
            case "db":
                return db(rest, os.environ)
            case _ if command in WITHOUT_SERVERS:
                return _django(arguments)
            case _:
                return _django_on_servers(command, arguments, os.environ)
    except (DataDirUnusable, InUse, StartFailed, LookupError) as error:
        sys.exit(f"{error}")


def _django_on_servers(
    command: str, arguments: list[str], environment: MutableMapping[str, str]
) -> int:
    from ccapi.devserver.data_dir import open_data_dir
    from ccapi.devserver.servers import open_servers
    from ccapi.devserver.supervisor import Interrupted, interruptible

    with interruptible(signal.SIGTERM, signal.SIGHUP):  # Ctrl-C is the command's own, as in `shell`
        try:
            servers = open_servers(open_data_dir(environment, ROOT), environment, owner=command)
            environment.update(servers.environment)
            try:
                return _django(arguments)
            finally:
                servers.wait_for_guests()
                servers.close()
        except Interrupted as interrupted:
            say(f"{interrupted}: stopped.")
            return interrupted.exit_code


def _django(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *arguments])
    if arguments[:1] in ([], ["help"], ["--help"], ["-h"]) and len(arguments) < 2:
        print(OWN)
    return 0
