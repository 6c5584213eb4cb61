"""The budget of repeats: how many failed calls may be sent to the same offer again.

Each call of a provider earns a tenth of a repeat, each repeat costs a whole one. So repeats stay
under 10 % of the calls however many requests fail at once, and never become a storm; the purse
holds a few, so that a provider with little traffic has them too. Switching to another offer or
another key is no repeat. One budget a provider and process.
"""

SAVED_MAX = 10.0  # repeats; what a hundred calls earn


class RetryBudget:
    """Purses by provider id."""

    __slots__ = ("_purses", "_ratio")

    def __init__(self, ratio: float = 0.1) -> None:
        self._ratio = ratio
        self._purses: dict[int, float] = {}

    def earn(self, provider: int) -> None:
        """A call that is no repeat. On the hot path."""
        purse = self._purses.get(provider)
        if purse is None:
            self._purses[provider] = SAVED_MAX
        elif purse < SAVED_MAX:
            self._purses[provider] = min(purse + self._ratio, SAVED_MAX)

    def spend(self, provider: int) -> bool:
        """Whether there is a repeat left; it is taken."""
        purse = self._purses.get(provider, SAVED_MAX)
        # A tenth earned ten times is a hair less than one.
        if not self._ratio or purse < 1.0 - 1e-9:
            return False
        self._purses[provider] = max(0.0, purse - 1.0)
        return True
