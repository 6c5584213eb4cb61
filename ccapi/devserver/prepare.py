"""What `serve` needs in the database: tables, catalog, a first organization and key, an admin.

`python -m ccapi.devserver.prepare` is a process of its own, so that the supervisor, which forks,
stays free of Django and its threads. Every step may run again and again. It prints one JSON line
for `serve`.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import django

from accounts.types import Caller, Limits
from ccapi.devserver.data_dir import DataDir

CREDENTIALS = "credentials"
ORGANIZATION = "org_quickstart"
CREDIT_NANO = 25_000_000_000  # nano-dollars
LOCAL = ("local", "local-media")  # providers that are servers of our own
ADMIN_EMAIL = "admin@example.com"


def main(arguments: list[str]) -> int:
    """Prepare the database of the environment, and say what was made."""
    parser = argparse.ArgumentParser(prog="ccapi.devserver.prepare")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sandbox-url", required=True)
    parser.add_argument(
        "--local",
        action="append",
        default=[],
        metavar="PROVIDER=URL",
        help="those of the local providers that are not named are disabled",
    )
    options = parser.parse_args(arguments)
    django.setup()
    _migrate()
    _seed(options.sandbox_url, dict(told.split("=", 1) for told in options.local))
    data = DataDir(options.data_dir)
    known = data.read(CREDENTIALS) or {}
    current = {**_first_key(known), "admin": _administrator(known.get("admin") or {})}
    if current != known:
        data.write(CREDENTIALS, current)
    print(json.dumps(current), flush=True)
    return 0


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


def _seed(sandbox_url: str, local_urls: dict[str, str]) -> None:
    from catalog import api as catalog

    catalog.seed(os.environ)
    catalog.set_endpoint("sandbox", sandbox_url)
    for name in LOCAL:
        catalog.set_endpoint(name, local_urls.get(name))


def _first_key(known: dict[str, Any]) -> dict[str, Any]:
    """The organization and key that are printed: those of the last start while they are valid."""
    from django.db import transaction

    from accounts import api as accounts
    from billing import api as billing
    from ccapi.core.errors import Forbidden, NotFound, Unauthorized

    if secret := known.get("api_key"):
        try:
            caller = asyncio.run(_authenticate(secret))
        except (Unauthorized, Forbidden):
            pass  # revoked, expired, or of another database: a new one below
        else:
            return {"api_key": secret, "organization": caller.organization}
    with transaction.atomic():
        try:
            accounts.organization_pk(ORGANIZATION)
        except NotFound:
            # Its id is fixed, so that credit is given once to a database and not once to a lost
            # file.
            accounts.create_organization(
                "Quickstart", ADMIN_EMAIL, public_id=ORGANIZATION, limits=Limits()
            )
            organization = accounts.organization_pk(ORGANIZATION)
            billing.grant(organization, CREDIT_NANO, reason="first credit", actor="manage.py serve")
        key = accounts.create_key(ORGANIZATION, name="first key", manages_keys=True)
    return {"api_key": key.secret, "organization": key.organization}


async def _authenticate(secret: str) -> Caller:
    """The caller behind a key, with nothing of the event loop left running."""
    from accounts import api as accounts
    from ccapi.core import postgres

    try:
        return await accounts.authenticate(secret)
    finally:
        # Until they are gone: in Python 3.11 `asyncio.wait_for` loses a cancellation that comes
        # together with its result, and asyncio.run, which cancels once, would wait for ever.
        ours = {asyncio.current_task()}
        while tasks := asyncio.all_tasks() - ours:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.2)
        await postgres.close()


def _administrator(known: dict[str, Any]) -> dict[str, Any]:
    """The login of the admin.

    A password that its owner has changed since is theirs, and not told.
    """
    from django.contrib.auth import authenticate, get_user_model

    from accounts import api as accounts

    email, password = known.get("email", ADMIN_EMAIL), known.get("password")
    is_ours = password is not None and authenticate(username=email, password=password) is not None
    if is_ours:
        return {"email": email, "password": password}
    user = get_user_model().objects.filter(email=email, is_superuser=True).first()
    if known and user is not None and user.has_usable_password():
        return {"email": email, "password": None}
    password = secrets.token_urlsafe(12)
    accounts.ensure_admin(email, password)
    return {"email": email, "password": password}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")
    sys.exit(main(sys.argv[1:]))
