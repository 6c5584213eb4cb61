"""An answer that comes piece by piece: passed on as it comes, charged and settled at its end.

Before the first content a failure is the attempt's, and `relay` goes on; after it, the stream is
ended here, with its protocol's error event and never with its success marker.
"""

from billing.types import Outcome
from ccapi.core import clock
from gateway import attempt, ends
from gateway.deadlines import Deadlines, Reader
from gateway.exchange import Exchange, costs_of
from gateway.meter import Meter
from gateway.outlet import Outlet
from gateway.protocols.base import Encoded, GarbledStream
from gateway.relayed import Relayed
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.tries import Try
from gateway.transport.client import AttemptFailed, failed


async def deliver(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: Deadlines,
    turn: Try,
) -> None:
    """A streamed answer. Raises AttemptFailed before content; after it, ends the stream itself."""
    meter = exchange.meter = Meter()
    upstream = await attempt.send(exchange, encoded, deadlines, key=turn.key)
    relayed = Relayed(exchange, meter)
    exchange.fail = relayed.fail
    reader = Reader(exchange, upstream, deadlines)
    try:
        if exchange.candidate.codec.framing == "sse" and "json" in upstream.content_type:
            body = await attempt.error_body(upstream)
            raise attempt.error_inside(
                exchange, upstream, body, GarbledStream("JSON, not a stream")
            )
        rest = await _pump(exchange, outlet, reader, deadlines, meter, relayed, turn=turn)
    except AttemptFailed as failure:
        if exchange.first_byte_ms is None:
            raise
        boards.current().failed(turn, failure, clock.monotonic())
        await _break_off(exchange, outlet, meter, relayed, failure)
    else:
        await _complete(exchange, outlet, meter, relayed, rest)
    finally:
        reader.close()
        upstream.close()


async def _complete(
    exchange: Exchange, outlet: Outlet, meter: Meter, relayed: Relayed, rest: bytes
) -> None:
    """The stream came to its proper end: the charge, the settlement, the client's own end.

    `rest` came with the end, and leaves with it, unless its tokens are still to be counted.
    """
    if meter.usage is None:
        await outlet.write(rest)
        rest = b""
    usage, source = await meter.final(exchange.asked, whole=True)
    charge = exchange.charge(usage)
    last = relayed.end(usage, costs_of(charge))
    exchange.bytes_out += len(last)
    exchange.settle(
        outcome=Outcome.CAPTURED if meter.usage is usage else Outcome.ESTIMATED,
        usage=usage,
        source=source,
        status="client_cancelled" if exchange.client_left else "ok",
        finish_reason=meter.finish_reason,
        charge=charge,
    )
    await outlet.end(rest + last)


async def _pump(
    exchange: Exchange,
    outlet: Outlet,
    reader: Reader,
    deadlines: Deadlines,
    meter: Meter,
    relayed: Relayed,
    *,
    turn: Try,
) -> bytes:
    """Upstream bytes → frames → events → meter → the client, until the protocol's own end marker.

    Returns what came with that marker and is still to be written.

    Raises: AttemptFailed for a stream that breaks, stalls, is garbled, reports an error, or ends
    early.
    """
    waiting: list[bytes] = []  # the client's bytes before the first content
    while True:
        data = await reader.read()
        chunk, fault = relayed.take(data) if data else (relayed.body_ended(), None)
        if not data and not meter.completed:
            raise failed("server", "The provider's stream ended before its end marker.")
        if exchange.first_byte_ms is None:
            waiting.append(chunk)
            if meter.has_content or (meter.completed and not meter.is_empty()):
                deadlines.content_came()
                await _begin(exchange, outlet, relayed, turn)
                chunk = b"".join(waiting)
            elif meter.completed:
                raise attempt.empty(meter)
        if exchange.first_byte_ms is not None:
            exchange.bytes_out += len(chunk)
            if meter.completed and fault is None:
                return chunk
            await outlet.write(chunk)
        if fault is not None:
            raise fault


async def _begin(exchange: Exchange, outlet: Outlet, relayed: Relayed, turn: Try) -> None:
    """The first content is there: from here on this candidate is the one that answers."""
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    attempt.answered(exchange, turn)
    await outlet.head(
        200,
        [
            (b"content-type", relayed.content_type.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *exchange.headers(),
        ],
    )


async def _break_off(
    exchange: Exchange,
    outlet: Outlet,
    meter: Meter,
    relayed: Relayed,
    failure: AttemptFailed,
) -> None:
    """After content there is no other candidate: the protocol's error event, then the bill."""
    error = failover.error_for(failure, all_rate_limited=True)
    await outlet.end(relayed.fail(error))
    status = "timeout" if failure.failure.kind == "timeout" else "upstream_error"
    await ends.settle_partial(exchange, meter, status=status, error=error)
