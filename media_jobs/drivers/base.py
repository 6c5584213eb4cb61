"""What a driver is: one provider's image API behind four coroutines.

A driver knows its vendor's URLs, names and errors, and nothing of jobs, money or Django's rows. It
calls its provider through `media_jobs.drivers.http`, and is found by the provider's protocol in
`media_jobs.drivers.registry`.
"""

from typing import Protocol

import msgspec

from catalog.types import Model, Provider
from gateway.protocols.base import UpstreamFailure
from gateway.transport.failures import AttemptFailed
from media_jobs.types import Delivered, ImageRequest, Pending, Started


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, as what, with which key ("" where the provider wants none)."""

    provider: Provider
    model: Model
    upstream_model: str
    key: str = ""


class DriverFailed(Exception):
    """A call failed; `failure` says how, scrubbed of our key.

    `is_unknown`: of `start`, that the provider may have taken the work all the same (a request had
    gone out, and no whole answer came); of `poll` and `cancel`, that nothing was learnt of the work
    and it may be asked again. `connected` and `answered` are for the circuit breakers: False where
    no connection came about, and where not one byte of an answer came. `unheard`: of `start`, the
    work that was perhaps taken, and that its provider will tell of then; it has no id yet.
    """

    unheard: "Started | None" = None

    def __init__(
        self,
        failure: UpstreamFailure,
        *,
        is_unknown: bool = False,
        connected: bool = True,
        answered: bool = True,
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.is_unknown = is_unknown
        self.connected = connected
        self.answered = answered

    def as_attempt(self) -> AttemptFailed:
        """The same as the walk's failover and breakers know it."""
        code = "" if self.answered else "upstream_unreachable"
        attempt = AttemptFailed(self.failure, error_code=code)
        attempt.connected = self.connected
        attempt.answered = self.answered
        return attempt


class Driver(Protocol):
    """One provider's image API."""

    name: str
    is_async: bool  # whether `start` gives `Started`

    def check(self, request: ImageRequest, target: Target) -> tuple[str, ...]:
        """Names of parameters that would be dropped without changing the picture's meaning.

        Raises: UnsupportedParameter, naming the parameter, where dropping would change the answer;
        its `details` have the `allowed` values where there are some.
        """

    def variant(self, request: ImageRequest, target: Target) -> tuple[str, str]:
        """Size and quality as the provider will be asked for them, which prices may depend on.

        `("1024x1024", "high")`; "" where the provider chooses. For a request that passed `check`.
        """

    async def start(
        self, request: ImageRequest, target: Target, *, reference: str, notify_url: str = ""
    ) -> Delivered | Started:
        """Ask for the pictures.

        `reference` is the job's id, as idempotency key where the vendor takes one; `notify_url`
        is where an asynchronous provider may tell that it is done. Raises: DriverFailed, and what
        `check` raises.
        """

    async def poll(self, started: Started, target: Target) -> Delivered | Pending:
        """How the work stands. Raises: DriverFailed where it failed, or cannot be asked now.

        Where the work was given up, by whomever, the failure's code is `canceled`.
        """

    async def cancel(self, started: Started, target: Target) -> None:
        """Give the work up, where the provider can; it may have ended before: poll once more.

        Raises: DriverFailed.
        """
