"""What is counted and said of a request that was admitted: once, after its books are closed.

In the next turn of the event loop, for all that ended in this one: nobody waits for it, and one
after the other they cost half. What is counted of those under way is `gateway.gauges`. The
gateway's own share is told apart: everything but the waiting for providers, up to the first content
of a stream or the whole answer.
"""

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from ccapi.core import ids, logs, metrics
from ccapi.core.loops import PerLoop
from ccapi.core.money import NANO_PER_USD
from ccapi.core.usage import Usage

if TYPE_CHECKING:
    from billing.types import Charge, Outcome
    from gateway.exchange import Exchange

STATUS_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")


class Closed(NamedTuple):
    """An exchange that has ended: `status` as its settlement has it, `told` the HTTP status."""

    exchange: "Exchange"
    outcome: "Outcome"
    usage: Usage
    charge: "Charge | None"
    status: str
    error_code: str
    told: int
    seconds: float  # from its first byte to its end
    own_s: float  # our share of them


class _Closing:
    """Those of one event loop that ended in this turn."""

    def __init__(self) -> None:
        self._closed: list[Closed] = []
        self._loop = asyncio.get_running_loop()

    def note(self, closed: Closed) -> None:
        self._closed.append(closed)
        if len(self._closed) == 1:
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        closed, self._closed = self._closed, []
        for each in closed:
            _count(each)
        for each in closed:
            _say(each)


_closing = PerLoop(_Closing)


def note(closed: Closed) -> None:
    """Count it, and write its line, soon."""
    _closing.get().note(closed)


def status_class(status: int) -> str:
    return STATUS_CLASSES[status // 100 if 100 <= status <= 599 else 0]


def _count(closed: Closed) -> None:
    exchange, usage, charge = closed.exchange, closed.usage, closed.charge
    model, provider = exchange.candidate.model.id, exchange.candidate.offer.provider.name
    protocol, mode = exchange.codec.name, "stream" if exchange.request.stream else "whole"
    by_provider, by_model = (provider, mode), (model, provider)
    metrics.REQUESTS.add((protocol, model, provider, closed.status, status_class(closed.told)))
    metrics.REQUEST_SECONDS.observe(by_provider, closed.seconds)
    metrics.GATEWAY_SECONDS.observe((protocol, mode), closed.own_s)
    metrics.UPSTREAM_SECONDS.observe(by_provider, exchange.upstream_s)
    if exchange.first_byte_ms is not None:
        metrics.FIRST_BYTE_SECONDS.observe(by_provider, exchange.first_byte_ms / 1000)
    if charge is not None:
        metrics.TOKENS.add((model, provider, "input"), usage.input_total)
        metrics.TOKENS.add((model, provider, "output"), usage.output_total)
        if usage.cache_read:
            metrics.TOKENS.add((model, provider, "cached"), usage.cache_read)
        metrics.CHARGED.add(by_model, charge.cost / NANO_PER_USD)
        if charge.overage:
            metrics.OVERAGE.add((), charge.overage / NANO_PER_USD)


def _say(closed: Closed) -> None:
    """The exchange's one line in the log."""
    exchange = closed.exchange
    candidate = exchange.candidate
    logs.tell(
        "exchange.finished",
        request_id=ids.request_id(exchange.request_id),
        organization=exchange.caller.organization,
        key=exchange.caller.key,
        codec=exchange.codec.name,
        upstream=candidate.codec.name,
        model=candidate.model.id,
        attempts=len(exchange.attempts),
        stream=exchange.request.stream,
        outcome=closed.outcome.name.lower(),
        status=closed.status,
        error=closed.error_code,
        first_byte_ms=exchange.first_byte_ms,
        latency_ms=round(closed.seconds * 1000),
        own_ms=round(closed.own_s * 1000, 2),
    )
