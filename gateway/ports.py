"""The gateway's doors to the apps below: the walk sees nothing of them but these functions."""

from accounts.api import authenticate, credential
from billing.api import (
    Reservation,
    admit,
    charge,
    close_limits,
    drain,
    reserve,
    reserve_upstream,
    settle,
    start_background,
)
from catalog.api import current as catalog
from catalog.api import (
    matches,
    model_list,
    model_query,
    model_summary,
    near_ids,
    register_status,
    resolve,
)

__all__ = [
    "Reservation",
    "admit",
    "authenticate",
    "catalog",
    "charge",
    "close_limits",
    "credential",
    "drain",
    "matches",
    "model_list",
    "model_query",
    "model_summary",
    "near_ids",
    "register_status",
    "reserve",
    "reserve_upstream",
    "resolve",
    "settle",
    "start_background",
]
