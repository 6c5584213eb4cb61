"""One exchange: a client's request from admission to its single settlement and its single log line.

It knows who calls, what was asked, what is held, which attempts were made, and how it ended. It
does no I/O: `relay` walks, the exchange remembers and closes the books.
"""

from collections.abc import Callable
from urllib.parse import quote
from uuid import UUID

from accounts.types import Caller
from billing.types import Attempt, Charge, Hold, Outcome, Settlement, UsageSource
from ccapi.core import clock, ids, metrics, money
from ccapi.core.errors import GatewayError
from ccapi.core.usage import Usage
from gateway import figures, ports, traces
from gateway.ir.request import Request
from gateway.ir.response import Costs
from gateway.meter import Meter
from gateway.protocols.base import Body, Codec, Told
from gateway.routes import Route
from gateway.routing.plan import Candidate
from gateway.tool_compat.mode import Tools
from gateway.transport.client import AttemptFailed

NOTHING = Usage(requests=0)
# An error as the last event of a stream; None where all that is left is to break off.
Fail = Callable[[GatewayError], bytes | None]
CLIENT_GONE = 499  # nobody was there to be told a status (nginx's number for it)
DROPPED_BYTES_MAX = 2048


def told_names(names: tuple[str, ...]) -> bytes:
    """Names of fields as a header's value: percent-encoded where a header could not hold them.

    They are what clients made up: a line break must not end the header, nor their number fill it.
    """
    told = ",".join(quote(name, safe="[]/", errors="replace") for name in names).encode()
    return told if len(told) <= DROPPED_BYTES_MAX else told[:DROPPED_BYTES_MAX].rpartition(b",")[0]


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
        tokens_expected: int,
        reservation: ports.Reservation,
        received: float | None = None,
        traced: traces.Open | None = None,
    ) -> None:
        self.request_id = request_id
        self.route = route
        self.started = started
        self.received = started if received is None else received  # the client had sent its body
        self.traced = traced  # None: it is not
        self.upstream_s = 0.0  # waited for providers, up to the first content
        self._own_s: float | None = None  # our own share, once the head of the answer is made
        self.caller = caller
        self.body = body
        self.request = request
        self.forwarded = forwarded  # client headers that pass to its own protocol, lower case
        self.candidates = candidates
        self.hold = hold
        self.tokens_expected = tokens_expected  # a guess, for rate limits
        self.reservation = reservation  # of the caller's limits
        # Of the limits of the provider that is being asked.
        self.granted: ports.Reservation | None = None
        self.candidate = candidates[0]  # the one that is being tried, or that served
        self.attempts: list[Attempt] = []
        self.first_byte_ms: int | None = None
        self.bytes_out = 0
        self.dropped: tuple[str, ...] = ()
        self.provider_request_id = ""
        self.client_left = False
        self.stopped = False  # ended before its time (`gateway.walks`): its cancellation is ours
        self.meter: Meter | None = None  # of the attempt at hand, once its provider is asked
        self.fail: Fail | None = None  # its stream's error event
        self.passed_on: AttemptFailed | None = None  # the provider's own refusal, told as it came
        self.settled = False

    @property
    def codec(self) -> Codec:
        return self.route.codec

    @property
    def asked(self) -> Request:
        """What the candidate is asked: the client's request, under the rules of its group."""
        ruled = self.candidate.ruled
        return self.request if ruled is None else ruled

    @property
    def is_direct(self) -> bool:
        """Whether the client and the candidate speak the same protocol, with nothing changed."""
        candidate = self.candidate
        return (
            candidate.codec.name == self.codec.name
            and candidate.ruled is None
            and not candidate.compat
        )

    def compat_tools(self) -> Tools | None:
        """What calls may be read from the text of an attempt's answer; None outside compat mode."""
        if not self.candidate.compat:
            return None
        return Tools(self.asked, seed=self.request_id.hex[-8:])

    def told(self) -> Told:
        """What the client is told about who answers (the catalog's id on CCAPI's own routes)."""
        catalog_id = self.candidate.model.id
        return Told(
            id=ids.generation_id(self.request_id),
            model=catalog_id if self.route.stamp else self.request.model or catalog_id,
            provider=self.candidate.offer.provider.name,
            created=clock.epoch_seconds(),
            stamp=self.route.stamp,
            request=self.request,
        )

    def note_attempt(self, *, status: int, since: float, error: str = "") -> None:
        """Remember how the current candidate's attempt went. A failed one costs nothing."""
        if error:
            self.meter = None
            self.give_back(0)
        provider = self.candidate.offer.provider.name
        metrics.ATTEMPTS.add((provider, error or "ok"))
        if self.traced is not None:
            now = clock.monotonic()
            self.traced.called(self, status=status, error=error, since=since, ended=now)
        self.attempts.append(
            Attempt(
                model=self.candidate.model.id,
                provider=provider,
                status=status,
                latency_ms=clock.elapsed_ms(since),
                error=error,
            )
        )

    def note_skipped(self, candidate: Candidate, reason: str) -> None:
        """Remember that this candidate was not called, being out of service."""
        provider = candidate.offer.provider.name
        metrics.SKIPS.add((provider, reason))
        self.attempts.append(
            Attempt(
                model=candidate.model.id,
                provider=provider,
                status=0,
                latency_ms=0,
                error=reason,
            )
        )

    def give_back(self, tokens: int) -> None:
        """The provider is done with this attempt, which used so many of its tokens."""
        if self.granted is not None:
            self.granted.settle(tokens)
            self.granted = None

    def waited(self, since: float) -> None:
        """A wait for a provider that began then has ended, before the first content."""
        self.upstream_s += clock.monotonic() - since

    def own_share_s(self) -> float:
        """The gateway's own share: since the body was there, without waiting for providers.

        Until the head of the answer was made, or until now where none has been.
        """
        if self._own_s is not None:
            return self._own_s
        return max(0.0, clock.monotonic() - self.received - self.upstream_s)

    def charge(self, usage: Usage) -> Charge:
        return ports.charge(usage, self.candidate.price, self.hold.amount)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response headers that say who answered, and how."""
        own_s = self._own_s = self.own_share_s()
        headers = [
            (b"x-request-id", ids.request_id(self.request_id).encode()),
            (b"x-ccapi-generation-id", ids.generation_id(self.request_id).encode()),
            (
                b"server-timing",
                b"gateway;dur=%.2f, upstream;dur=%.2f" % (own_s * 1000, self.upstream_s * 1000),
            ),
        ]
        if self.attempts:
            headers += [
                (b"x-ccapi-provider", self.candidate.offer.provider.name.encode()),
                (b"x-ccapi-model", self.candidate.model.id.encode()),
                (
                    b"x-ccapi-attempts",
                    ";".join(
                        f"{tried.model}={tried.status or 'skipped'}" for tried in self.attempts
                    ).encode(),
                ),
            ]
        if self.dropped:
            headers.append((b"x-ccapi-dropped", told_names(self.dropped)))
        if self.hold.max_tokens_applied is not None:
            applied = str(self.hold.max_tokens_applied).encode()
            headers.append((b"x-ccapi-max-tokens-applied", applied))
        headers += self.reservation.headers()
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
        """Queue the settlement, the figures and the log line.

        The second call of an exchange does nothing.
        """
        if self.settled:
            return
        self.settled = True
        self.reservation.settle(usage.total)
        self.give_back(usage.total)
        if charge is None and outcome is not Outcome.VOIDED:
            charge = self.charge(usage)
        ports.settle(
            self._settlement(
                outcome=outcome,
                usage=usage,
                source=source,
                status=status,
                error=error,
                finish_reason=finish_reason,
                charge=charge,
            )
        )
        error_code = "" if error is None else error.code
        if self.first_byte_ms is not None:
            told = 200
        else:
            told = CLIENT_GONE if error is None else error.status
        if self.traced is not None:
            traces.record_exchange(
                self, self.traced, usage=usage, status=status, error_code=error_code, told=told
            )
        figures.note(
            figures.Closed(
                exchange=self,
                outcome=outcome,
                usage=usage,
                charge=charge,
                status=status,
                error_code=error_code,
                told=told,
                seconds=clock.monotonic() - self.started,
                own_s=self.own_share_s(),
            )
        )

    def _settlement(
        self,
        *,
        outcome: Outcome,
        usage: Usage,
        source: UsageSource,
        status: str,
        error: GatewayError | None,
        finish_reason: str,
        charge: Charge | None,
    ) -> Settlement:
        candidate = self.candidate
        http_status = self.attempts[-1].status if status == "ok" and self.attempts else 0
        return Settlement(
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
            error_code="" if error is None else error.code,
            finish_reason=finish_reason,
            attempts=tuple(self.attempts),
            first_byte_ms=self.first_byte_ms,
            latency_ms=clock.elapsed_ms(self.started),
            bytes_out=self.bytes_out,
            end_user=self.request.user,
            provider_request_id=self.provider_request_id,
        )


def costs_of(charge: Charge) -> Costs:
    """A charge as the JSON number literals that answers carry."""
    return Costs(
        input=money.dollar_number(charge.input_cost),
        output=money.dollar_number(charge.output_cost),
        total=money.dollar_number(charge.cost),
    )
