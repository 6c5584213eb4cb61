"""The ledger as a witness: what its tables say of each request, read by SQL alone."""

from types import TracebackType
from typing import Any

import msgspec
import psycopg

from ccapi.core import ids

# A hold's outcome: captured, voided, expired, estimated, partial.
WHOLE = frozenset({1, 4})
EXPIRED = 3

REQUESTS = """
SELECT s.request_id, s.outcome, s.settled_by,
       coalesce(array_agg(t.amount_nano) FILTER (WHERE t.amount_nano IS NOT NULL), '{}')
FROM settlement s
JOIN organization o ON o.id = s.organization_id AND o.public_id = %s
LEFT JOIN wallet w ON w.organization_id = s.organization_id
LEFT JOIN ledger_transfer t ON t.txn_id = s.request_id AND t.debit_account = w.account_id
GROUP BY s.request_id, s.outcome, s.settled_by
"""
WALLET = """
SELECT posted_nano, held_nano FROM wallet JOIN organization o ON o.id = organization_id
WHERE public_id = %s
"""


class Settled(msgspec.Struct, frozen=True):
    """How one request was resolved."""

    outcome: int
    by: str  # the process
    charges: list[int]  # every debit of the wallet for it, in nano-dollars

    @property
    def charge(self) -> int:
        return sum(self.charges)


class Ledger:
    """One connection. `close` it where the database is restarted; the next question opens it."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def settled(self, organization: str) -> dict[str, list[Settled]]:
        """By generation id. More than one of a request would be a broken promise."""
        found: dict[str, list[Settled]] = {}
        for request_id, *rest in self._rows(REQUESTS, organization):
            found.setdefault(ids.generation_id(request_id), []).append(Settled(*rest))
        return found

    def wallet(self, organization: str) -> tuple[int, int]:
        """Posted and held, in nano-dollars."""
        posted, held = self._rows(WALLET, organization)[0]
        return posted, held

    def open_holds(self) -> int:
        return int(self._rows("SELECT count(*) FROM hold")[0][0])

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True)
        # The queries are constants of this module; psycopg types them as literal strings or bytes.
        return self._connection.execute(query.encode(), parameters).fetchall()
