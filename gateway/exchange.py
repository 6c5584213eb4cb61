"""One exchange: a client's request from admission to its single settlement and its single log line.

It knows who calls, what was asked, what is held, which attempts were made, and how it ended. It
does no I/O: `relay` walks, the exchange remembers and closes the books.
"""

from uuid import UUID

import structlog

from accounts.types import Caller
from billing.types import Attempt, Charge, Hold, Outcome, Settlement, UsageSource
from ccapi.core import clock, ids, money
from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway import ports
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.protocols.base import Body, Codec, Told
from gateway.routes import Route
from gateway.routing.plan import Candidate
from gateway.transport.client import AttemptFailed

log = structlog.get_logger(__name__)
NOTHING = Usage(requests=0)


class Exchange:
    """The state of one admitted request. Settled exactly once, by `settle` or `void`."""

    def __init__(
        self,
        *,
        request_id: UUID,
        route: Route,
        started: float,
        caller: Caller,
        body: Body,
        request: Request,
        forwarded: dict[str, str],
        candidates: tuple[Candidate, ...],
        hold: Hold,
    ) -> None:
        self.request_id = request_id
        self.route = route
        self.started = started
        self.caller = caller
        self.body = body
        self.request = request
        self.forwarded = forwarded  # client headers that pass on the direct path, lower case
        self.candidates = candidates
        self.hold = hold
        self.candidate = candidates[0]  # the one that is being tried, or that served
        self.attempts: list[Attempt] = []
        self.first_byte_ms: int | None = None
        self.bytes_out = 0
        self.dropped: tuple[str, ...] = ()
        self.provider_request_id = ""
        self.client_left = False
        self.passed_on: AttemptFailed | None = None  # the provider's own refusal, told as it came
        self.settled = False

    @property
    def codec(self) -> Codec:
        return self.route.codec

    @property
    def is_direct(self) -> bool:
        """Whether the client and the candidate speak the same protocol."""
        return self.candidate.codec.name == self.codec.name

    def told(self) -> Told:
        """What the client is told about who answers (the catalog's id on CCAPI's own routes)."""
        catalog_id = self.candidate.model.id
        return Told(
            id=ids.generation_id(self.request_id),
            model=catalog_id if self.route.stamp else self.request.model or catalog_id,
            provider=self.candidate.offer.provider.name,
            created=clock.epoch_seconds(),
            stamp=self.route.stamp,
        )

    def note_attempt(self, *, status: int, since: float, error: str = "") -> None:
        """Remember how the current candidate's attempt went."""
        self.attempts.append(
            Attempt(
                model=self.candidate.model.id,
                provider=self.candidate.offer.provider.name,
                status=status,
                latency_ms=clock.elapsed_ms(since),
                error=error,
            )
        )

    def charge(self, usage: Usage) -> Charge:
        return ports.charge(usage, self.candidate.price, self.hold.amount)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response headers that say who answered, and how."""
        headers = [
            (b"x-request-id", ids.request_id(self.request_id).encode()),
            (b"x-ccapi-generation-id", ids.generation_id(self.request_id).encode()),
        ]
        if self.attempts:
            headers += [
                (b"x-ccapi-provider", self.candidate.offer.provider.name.encode()),
                (b"x-ccapi-model", self.candidate.model.id.encode()),
                (
                    b"x-ccapi-attempts",
                    ";".join(f"{tried.model}={tried.status}" for tried in self.attempts).encode(),
                ),
            ]
        if self.dropped:
            headers.append((b"x-ccapi-dropped", ",".join(self.dropped).encode()))
        if self.hold.max_tokens_applied is not None:
            applied = str(self.hold.max_tokens_applied).encode()
            headers.append((b"x-ccapi-max-tokens-applied", applied))
        return headers

    def attempts_detail(self) -> list[dict[str, object]]:
        """The attempts as `error.details.attempts` tells them."""
        return [
            {
                "model": tried.model,
                "provider": tried.provider,
                "status": tried.status,
                "error": tried.error,
                "latency_ms": tried.latency_ms,
            }
            for tried in self.attempts
        ]

    def void(self, *, status: str, error: GatewayError | None) -> None:
        """Nothing is owed: the whole hold goes back."""
        self.settle(
            outcome=Outcome.VOIDED,
            usage=NOTHING,
            source=UsageSource.NONE,
            status=status,
            error=error,
        )

    def settle(
        self,
        *,
        outcome: Outcome,
        usage: Usage,
        source: UsageSource,
        status: str = "ok",
        error: GatewayError | None = None,
        finish_reason: str = "",
        charge: Charge | None = None,
    ) -> None:
        """Queue the settlement and write the log line.

        The second call of an exchange does nothing.
        """
        if self.settled:
            return
        self.settled = True
        candidate = self.candidate
        latency_ms = clock.elapsed_ms(self.started)
        http_status = self.attempts[-1].status if status == "ok" and self.attempts else 0
        error_code = "" if error is None else error.code
        ports.settle(
            Settlement(
                hold=self.hold,
                outcome=outcome,
                usage=usage,
                usage_source=source,
                price=candidate.price,
                charge=charge,
                requested_model=self.request.model or candidate.model.id,
                model=candidate.model.id,
                provider=candidate.offer.provider.name,
                protocol=self.codec.name,
                endpoint=self.route.endpoint,
                stream=self.request.stream,
                status=status,
                http_status=http_status if error is None else error.status,
                error_code=error_code,
                finish_reason=finish_reason,
                attempts=tuple(self.attempts),
                first_byte_ms=self.first_byte_ms,
                latency_ms=latency_ms,
                bytes_out=self.bytes_out,
                end_user=self.request.user,
                provider_request_id=self.provider_request_id,
            )
        )
        self._tell(outcome, status=status, error_code=error_code, latency_ms=latency_ms)

    def _tell(self, outcome: Outcome, *, status: str, error_code: str, latency_ms: int) -> None:
        """The exchange's one line in the log."""
        candidate = self.candidate
        log.info(
            "exchange.finished",
            request_id=ids.request_id(self.request_id),
            organization=self.caller.organization,
            key=self.caller.key,
            codec=self.codec.name,
            upstream=candidate.codec.name,
            model=candidate.model.id,
            attempts=len(self.attempts),
            stream=self.request.stream,
            outcome=outcome.name.lower(),
            status=status,
            error=error_code,
            first_byte_ms=self.first_byte_ms,
            latency_ms=latency_ms,
        )


def costs_of(charge: Charge) -> Costs:
    """A charge as the JSON number literals that answers carry."""
    return Costs(
        input=money.dollar_number(charge.input_cost),
        output=money.dollar_number(charge.output_cost),
        total=money.dollar_number(charge.cost),
    )
