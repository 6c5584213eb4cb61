"""Rate limits: requests a minute, tokens a minute, requests at once.

Three kinds of subject are limited: an API key, its organization (over all its keys), and a provider
(what it grants us, over all our processes). A request takes from all of its subjects or from none,
in one call of a script on Valkey; when it ends, its slot goes back and its tokens are corrected.
While Valkey is away each process holds its own share of every limit. None of this is money.
"""

from billing.rate_limits.limiter import close, reserve, reserve_upstream
from billing.rate_limits.reservation import Reservation

__all__ = ["Reservation", "close", "reserve", "reserve_upstream"]
