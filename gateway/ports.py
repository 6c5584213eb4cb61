"""The gateway's doors to the apps below: the walk sees nothing of them but these functions."""

from accounts.api import authenticate, credential
from billing.api import admit, charge, drain, settle, start_background
from catalog.api import current as catalog
from catalog.api import resolve

__all__ = [
    "admit",
    "authenticate",
    "catalog",
    "charge",
    "credential",
    "drain",
    "resolve",
    "settle",
    "start_background",
]
