"""Tables of the money: wallets, holds, settlements, usage events and the journal.

Django's classes are for migrations, the admin and reports. Money moves by the SQL functions of
`billing/sql/` alone; triggers refuse to edit the journal, the settlements and the usage events.
"""

from billing.models.journal import LedgerAccount, LedgerTransfer
from billing.models.receipts import Settlement, UsageEvent
from billing.models.rollups import UsageRollup
from billing.models.wallets import Hold, Wallet

__all__ = [
    "Hold",
    "LedgerAccount",
    "LedgerTransfer",
    "Settlement",
    "UsageEvent",
    "UsageRollup",
    "Wallet",
]
