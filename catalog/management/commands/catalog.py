"""`manage.py catalog seed | import FILE | export | prices`: the operator's file, in and out."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError

from catalog import api, reference
from ccapi.core import clock


class Command(BaseCommand):
    help = "Imports or exports the catalog file, or compares prices with the price library."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        importing = commands.add_parser(
            "import", help="upsert providers, models, prices and groups from a YAML file"
        )
        importing.add_argument("file", help="the file; - for standard input")
        seeding = commands.add_parser(
            "seed", help="add what a fresh catalog has and this one has not; take keys from here"
        )
        seeding.add_argument("--sandbox", metavar="URL", help="enable the sandbox, at this address")
        commands.add_parser("export", help="print the catalog as such a file (keys as `keep`)")
        prices = commands.add_parser("prices", help="compare costs with the price library")
        prices.add_argument("--check", action="store_true", help="exit with 1 where one differs")

    def handle(self, *_: object, **options: Any) -> None:  # noqa: ANN401 — Django's signature
        match options["command"]:
            case "import":
                self._import(options["file"])
            case "seed":
                self._seed(options["sandbox"])
            case "export":
                text = yaml.safe_dump(
                    api.export_document(), sort_keys=False, allow_unicode=True, width=100
                )
                self.stdout.write(text, ending="")
            case "prices":
                self._compare(fail=options["check"])

    def _seed(self, sandbox: str | None) -> None:
        changes = api.seed(os.environ)
        if sandbox is not None:
            try:
                api.set_endpoint("sandbox", sandbox)
            except ValueError as error:
                raise CommandError(str(error)) from error
        self.stdout.write(changes.summary())

    def _import(self, file: str) -> None:
        try:
            if file == "-":
                changes = api.import_text(sys.stdin.read(), environ=os.environ)
            else:
                changes = api.import_file(Path(file), environ=os.environ)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file}: is not UTF-8 text") from error
        except api.DocumentError as error:
            lines = "\n".join(f"{file}: {problem}" for problem in error.problems)
            raise CommandError(f"{lines}\nNothing was changed.") from error
        self.stdout.write(changes.summary())
        for name in changes.not_configured:
            self.stdout.write(f"not configured: provider {name} has no key or no address")

    def _compare(self, *, fail: bool) -> None:
        found = list(reference.differences(clock.now()))
        for line in found:
            self.stdout.write(line)
        self.stdout.write(f"{len(found)} differences from the price library")
        if found and fail:
            sys.exit(1)
