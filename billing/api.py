"""The door of billing: what other apps may call. Values are in `billing.types`."""

from billing.admission import admit
from billing.audit import audit
from billing.bounds import bound_amount
from billing.credits import balance, grant
from billing.image_tokens import with_tokens
from billing.ledger import drain, settle
from billing.pricing import charge
from billing.rate_limits import Reservation, reserve, reserve_upstream
from billing.rate_limits import close as close_limits
from billing.readiness import has_partitions
from billing.standing import place_hold, settle_hold
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
    "place_hold",
    "reserve",
    "reserve_upstream",
    "settle",
    "settle_hold",
    "start_background",
    "with_tokens",
]
