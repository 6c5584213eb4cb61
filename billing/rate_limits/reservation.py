"""A reservation: what a request has taken of its limits, until it is settled, once."""

from collections.abc import Sequence
from typing import Protocol

from billing.rate_limits import headers
from billing.rate_limits.subjects import Subject
from billing.rate_limits.verdict import Use


class Keeper(Protocol):
    """Who takes a reservation back."""

    def settle(self, reservation: "Reservation", tokens: int) -> None: ...

    def free(self, reservation: "Reservation") -> None: ...


class Reservation:
    """`reserved` are the tokens taken of each subject; `is_local`: of this process's meters."""

    __slots__ = ("_keeper", "_uses", "is_local", "lease", "reserved", "subjects")

    def __init__(
        self,
        keeper: Keeper | None,
        lease: bytes,
        subjects: Sequence[Subject],
        reserved: Sequence[int],
        uses: Sequence[Use],
        *,
        is_local: bool,
    ) -> None:
        self._keeper = keeper
        self._uses = uses
        self.lease = lease
        self.subjects = subjects
        self.reserved = reserved
        self.is_local = is_local

    def headers(self) -> list[headers.Header]:
        """`x-ratelimit-*` as of the reservation."""
        return headers.headers(self.subjects, self._uses) if self.subjects else []

    def told(self) -> dict[str, str]:
        """The same, as an error carries them."""
        return {name.decode(): value.decode() for name, value in self.headers()}

    def leave(self) -> None:
        """Give the slot back now: nobody waits for the answer any more, though it may go on."""
        if self._keeper is not None:
            self._keeper.free(self)

    def settle(self, tokens: int) -> None:
        """Give the slot back; `tokens` were used. Queued, never waited for; again: nothing."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.settle(self, tokens)


# What somebody without limits has taken.
NOTHING = Reservation(None, b"", (), (), (), is_local=False)
