"""The door of billing: what other apps may call. Values are in `billing.types`."""

from billing.admission import admit
from billing.audit import audit
from billing.credits import balance, grant
from billing.ledger import drain, settle
from billing.pricing import bound_amount, charge
from billing.sweeper import start_background

__all__ = [
    "admit",
    "audit",
    "balance",
    "bound_amount",
    "charge",
    "drain",
    "grant",
    "settle",
    "start_background",
]
