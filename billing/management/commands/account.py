"""`manage.py account create|credit|key|limits`: organizations, their credit, keys and limits."""

import getpass
import json
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import api as accounts
from accounts.types import Limits
from billing.credits import balance, grant
from ccapi.core.errors import GatewayError
from ccapi.core.money import dollars, nano

LIMITS = {"rpm": "requests a minute", "tpm": "tokens a minute", "concurrent": "requests at once"}


class Command(BaseCommand):
    help = "Make an organization with credit and a key, give credit, make a key, set limits."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        create = commands.add_parser("create", help="an organization, its owner, wallet and key")
        create.add_argument("name")
        create.add_argument("--email", required=True, help="of the owner")
        create.add_argument("--credit", default="0", help="in dollars, such as 25.00")
        _add_limits(create, "default: the catalog's")
        create.add_argument("--json", action="store_true", help="one line of JSON")
        credit = commands.add_parser("credit", help="give credit, journalled with a reason")
        credit.add_argument("organization", help="org_…")
        credit.add_argument("amount", help="in dollars, such as 25.00")
        credit.add_argument("--reason", required=True)
        credit.add_argument("--json", action="store_true", help="one line of JSON")
        key = commands.add_parser("key", help="make a key; its secret is shown once")
        key.add_argument("organization", help="org_…")
        key.add_argument("--name", required=True)
        key.add_argument(
            "--manages-keys", action="store_true", help="it may make and change keys over the API"
        )
        key.add_argument("--json", action="store_true", help="one line of JSON")
        limits = commands.add_parser("limits", help="show or change an organization's limits")
        limits.add_argument("organization", help="org_…")
        _add_limits(limits, "default: as it is")
        limits.add_argument("--json", action="store_true", help="one line of JSON")

    def handle(self, *_args: object, **options: Any) -> None:  # noqa: ANN401 — by argparse
        try:
            with transaction.atomic():
                answer = getattr(self, f"_{options['command']}")(options)
        except GatewayError as error:
            raise CommandError(error.message) from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer))
        else:
            for name, value in answer.items():
                self.stdout.write(f"{name}: {value}")

    def _create(self, options: dict[str, Any]) -> dict[str, str]:
        credit = nano(options["credit"])
        organization = accounts.create_organization(
            options["name"],
            options["email"],
            limits=_with_given(accounts.default_limits(), options),
        )
        if credit:
            pk = accounts.organization_pk(organization)
            grant(pk, credit, reason="first credit", actor=_actor())
        key = accounts.create_key(organization, name="default", manages_keys=True)
        return {
            "organization": organization,
            "email": options["email"],
            "api_key": key.secret,
        }

    def _credit(self, options: dict[str, Any]) -> dict[str, str]:
        pk = accounts.organization_pk(options["organization"])
        grant(pk, nano(options["amount"]), reason=options["reason"], actor=_actor())
        return {"organization": options["organization"], "balance": dollars(balance(pk).posted)}

    def _key(self, options: dict[str, Any]) -> dict[str, str]:
        key = accounts.create_key(
            options["organization"], name=options["name"], manages_keys=options["manages_keys"]
        )
        return {"organization": options["organization"], "key": key.key, "api_key": key.secret}

    def _limits(self, options: dict[str, Any]) -> dict[str, str | int]:
        organization = options["organization"]
        before = accounts.limits_of(organization)
        limits = _with_given(before, options)
        if limits != before:
            accounts.set_limits(organization, limits)
        return {"organization": organization, **msgspec.structs.asdict(limits)}


def _add_limits(parser: CommandParser, otherwise: str) -> None:
    for name, what in LIMITS.items():
        parser.add_argument(f"--{name}", type=int, help=f"{what}, 0: no limit; {otherwise}")


def _with_given(limits: Limits, options: dict[str, Any]) -> Limits:
    given = {name: options[name] for name in LIMITS if options[name] is not None}
    return msgspec.structs.replace(limits, **given)


def _actor() -> str:
    try:
        return f"command by {getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name, as in containers
        return "command"
