"""What is told of a request that is refused before any provider is asked: a line, a count, a span.

What its client is told is `gateway.incoming.refusal`.
"""

from uuid import UUID

from ccapi.core import access, clock, ids, tracing
from ccapi.core.errors import GatewayError
from gateway import traces
from gateway.exchange import CLIENT_GONE
from gateway.routes import Route


def tell(
    route: Route,
    headers: list[tuple[bytes, bytes]],
    request_id: UUID,
    error: GatewayError,
    *,
    started: float,
    told: int,
) -> None:
    access.tell_refused(
        request_id=ids.request_id(request_id),
        code=error.code,
        status=told,
        route=route.path,
        codec=route.codec.name,
        latency_ms=clock.elapsed_ms(started),
    )
    if tracing.is_on():
        traces.record_refusal(route, headers, request_id, error, started=started, told=told)


def tell_gone(route: Route, request_id: UUID, *, started: float) -> None:
    """The client hung up before its request was complete."""
    access.tell_refused(
        request_id=ids.request_id(request_id),
        code="client_gone",
        status=CLIENT_GONE,
        route=route.path,
        codec=route.codec.name,
        latency_ms=clock.elapsed_ms(started),
    )
