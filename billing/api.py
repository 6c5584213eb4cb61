"""The door of billing: what other apps may call. Values are in `billing.types`."""

from billing.admission import admit
from billing.audit import audit
from billing.credits import balance, grant
from billing.ledger import drain, settle
from billing.pricing import bound_amount, charge
from billing.rate_limits import Reservation, reserve, reserve_upstream
from billing.rate_limits import close as close_limits
from billing.readiness import has_partitions
from billing.sweeper import start_background

__all__ = [
    "Reservation",
    "admit",
    "audit",
    "balance",
    "bound_amount",
    "charge",
    "close_limits",
    "drain",
    "grant",
    "has_partitions",
    "reserve",
    "reserve_upstream",
    "settle",
    "start_background",
]
