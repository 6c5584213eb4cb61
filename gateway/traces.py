"""The spans of one request: its own, and a child for each call of a provider.

Names and attributes are OpenTelemetry's for generative AI and HTTP; nothing of a prompt or an
answer is among them. How spans are kept and sent is `ccapi.core.tracing`.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (read 2026-11-22)
"""

import time
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ccapi.core import ids, tracing
from ccapi.core.errors import GatewayError
from ccapi.core.tracing import Span, Trace, Value
from ccapi.core.usage import Usage

if TYPE_CHECKING:
    from gateway.exchange import Exchange
    from gateway.routes import Route


OPERATIONS = {"chat": "chat", "embedding": "embeddings", "audio": "speech"}  # by kind of model


class Call(NamedTuple):
    """One call of a provider, as it is remembered until the request ends."""

    span_id: int
    provider: str
    model: str  # as the catalog has it
    upstream_model: str
    status: int
    error: str
    started: float
    ended: float


class Open:
    """A request that is being traced."""

    __slots__ = ("calls", "next_id", "trace")

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.calls: list[Call] = []
        self.next_id = tracing.new_span_id()  # of the call at hand

    def traceparent(self) -> str:
        """What the provider is told of the call at hand."""
        return self.trace.header(self.next_id)

    def called(
        self, exchange: "Exchange", *, status: int, error: str, since: float, ended: float
    ) -> None:
        """The call at hand has ended, or has begun to answer."""
        offer = exchange.candidate.offer
        self.calls.append(
            Call(
                span_id=self.next_id,
                provider=offer.provider.name,
                model=offer.model,
                upstream_model=offer.upstream_model,
                status=status,
                error=error,
                started=since,
                ended=ended,
            )
        )
        self.next_id = tracing.new_span_id()


def begin(headers: list[tuple[bytes, bytes]]) -> Open | None:
    """Trace a request, or do not. Costs nothing where tracing is off."""
    trace = tracing.begin(headers)
    return None if trace is None else Open(trace)


def record_exchange(
    exchange: "Exchange", traced: Open, *, usage: Usage, status: str, error_code: str, told: int
) -> None:
    """An admitted request has ended: its span and those of its calls."""
    now = time.monotonic()
    trace, candidate = traced.trace, exchange.candidate
    attributes = {
        **_common(exchange.route, exchange.request_id, told),
        "gen_ai.provider.name": candidate.offer.provider.name,
        "gen_ai.request.model": exchange.candidates[0].model.id,
        "gen_ai.response.model": candidate.model.id,
        "gen_ai.usage.input_tokens": usage.input_total,
        "gen_ai.usage.output_tokens": usage.output_total,
        "ccapi.organization": exchange.caller.organization,
        "ccapi.outcome": status,
        "ccapi.stream": exchange.request.stream,
        "ccapi.upstream_wait_ms": round(exchange.upstream_s * 1000, 2),
    }
    if exchange.request.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = exchange.request.max_tokens
    spans = [
        Span(
            name=f"{_operation(exchange.route)} {candidate.model.id}",
            kind="server",
            span_id=trace.span_id,
            parent_id=trace.parent_id,
            started=exchange.started,
            ended=now,
            attributes=attributes,
            error=error_code,
        )
    ]
    for call in traced.calls:
        # The one that answers goes on to the end of its stream.
        ended = call.ended if call.error else now
        spans.append(_call_span(call, trace, _operation(exchange.route), ended=ended))
    tracing.record(trace, spans)


def _operation(route: "Route") -> str:
    """What is asked for, in OpenTelemetry's words where they have one."""
    return OPERATIONS.get(route.kind, route.kind)


def _call_span(call: Call, trace: Trace, operation: str, *, ended: float) -> Span:
    return Span(
        name=f"{operation} {call.upstream_model}",
        kind="client",
        span_id=call.span_id,
        parent_id=trace.span_id,
        started=call.started,
        ended=ended,
        attributes={
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": call.provider,
            "gen_ai.request.model": call.upstream_model,
            "http.response.status_code": call.status,
            "ccapi.model": call.model,
        },
        error=call.error,
    )


def record_refusal(
    route: "Route",
    headers: list[tuple[bytes, bytes]],
    request_id: UUID,
    error: GatewayError,
    *,
    started: float,
    told: int,
) -> None:
    """A request that was refused before any provider was asked: one span."""
    trace = tracing.begin(headers)
    if trace is None:
        return
    span = Span(
        name=f"{_operation(route)} {route.path}",
        kind="server",
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        started=started,
        ended=time.monotonic(),
        attributes=_common(route, request_id, told),
        error=error.code,
    )
    tracing.record(trace, [span])


def _common(route: "Route", request_id: UUID, told: int) -> dict[str, Value]:
    return {
        "gen_ai.operation.name": _operation(route),
        "http.request.method": "POST",
        "http.route": route.path,
        "http.response.status_code": told,
        "ccapi.request_id": ids.request_id(request_id),
    }
