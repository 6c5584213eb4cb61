"""Credit: giving it and reading what is left, in plain synchronous transactions."""

import json
from uuid import UUID, uuid4

from django.db import connection

from billing.types import Balance
from ccapi.core.money import NANO_MAX

PROMO = "expense:promo"  # the account that given credit comes from


def grant(
    organization_id: int, amount_nano: int, *, reason: str, actor: str, ref: UUID | None = None
) -> None:
    """Give credit to an organization's wallet, journalled with its reason and who gave it.

    The same `ref` gives once, however often it is called.
    Raises: ValueError for an amount that is not positive, or without a reason, or no such wallet.
    """
    if not 0 < amount_nano <= NANO_MAX:
        raise ValueError("Credit must be more than 0 and at most 9,000,000,000 dollars.")
    if not reason.strip():
        raise ValueError("Credit needs a reason; it stands in the journal.")
    meta = json.dumps({"reason": reason.strip(), "actor": actor})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT grant_v1(%s, %s, %s, %s, %s::jsonb)",
            [organization_id, amount_nano, PROMO, ref or uuid4(), meta],
        )
        (posted,) = cursor.fetchone()
    if posted is None:
        raise ValueError(f"Organization {organization_id} has no wallet.")


def balance(organization_id: int) -> Balance:
    """What the wallet holds. Raises: ValueError if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT posted_nano, held_nano FROM wallet WHERE organization_id = %s",
            [organization_id],
        )
        row = cursor.fetchone()
    if row is None:
        raise ValueError(f"Organization {organization_id} has no wallet.")
    return Balance(posted=row[0], held=row[1])
