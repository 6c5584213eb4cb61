"""Makes accounts with credit: `python -m tests.e2e.customers 1.00 1.00`.

A process of its own, since it needs the `DATABASE_URL` of a stack. Prints one JSON line.
"""

import json
import os
import sys
from collections.abc import Sequence

from ccapi.core.ids import uuid7


def make(dollars: Sequence[str]) -> list[dict[str, str]]:
    """One customer for each credit, without limits. Needs Django set up."""
    from accounts.api import create_key, create_organization, organization_pk
    from accounts.types import Limits
    from billing.api import grant
    from ccapi.core.money import nano

    made = []
    for credit in dollars:
        name = f"customer-{uuid7().hex}"
        organization = create_organization(name, f"{name}@example.com", limits=Limits())
        grant(organization_pk(organization), nano(credit), reason="test", actor="tests")
        secret = create_key(organization, name="first", manages_keys=True).secret
        made.append({"organization": organization, "api_key": secret, "credit": credit})
    return made


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

    import django

    django.setup()
    sys.stdout.write(json.dumps(make(sys.argv[1:])) + "\n")


if __name__ == "__main__":
    main()
