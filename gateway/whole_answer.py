"""An answer that comes whole: read, understood, charged, settled, told.

What happens where it fails is `relay`'s; one that comes piece by piece is `streamed_answer`'s.
"""

from functools import partial

from billing.types import Outcome
from ccapi.core import clock
from gateway import attempt
from gateway.deadlines import Deadlines
from gateway.exchange import Exchange, costs_of
from gateway.meter import Meter
from gateway.outlet import PIECE_BYTES, Outlet
from gateway.protocols.base import Encoded, GarbledStream
from gateway.routing.tries import Try
from gateway.tool_compat.mode import read_response


async def deliver(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: Deadlines,
    turn: Try,
) -> None:
    """A whole answer: read, understood, charged, settled, told."""
    meter = exchange.meter = Meter()
    upstream, body = await attempt.whole(exchange, encoded, deadlines, key=turn.key)
    try:
        response = exchange.candidate.codec.decode_response(body)
    except (GarbledStream, UnicodeDecodeError) as error:
        raise attempt.error_inside(exchange, upstream, body, error) from error
    meter.watch_response(response)
    if (tools := exchange.compat_tools()) is not None:
        response = read_response(response, tools)
    if meter.is_empty():
        raise attempt.empty(meter)
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    attempt.answered(exchange, turn)
    usage, source = await meter.final(exchange.asked, whole=True)
    charge = exchange.charge(usage)
    costs = costs_of(charge)
    if exchange.is_direct:
        payload = exchange.codec.direct_response(body, exchange.told(), costs)
    else:
        payload = exchange.codec.encode_response(response, exchange.told(), usage, costs)
    exchange.bytes_out = len(payload)
    estimated = usage is not response.usage
    settle = partial(
        exchange.settle,
        outcome=Outcome.ESTIMATED if estimated else Outcome.CAPTURED,
        usage=usage,
        source=source,
        status="client_cancelled" if exchange.client_left else "ok",
        finish_reason=meter.finish_reason,
        charge=charge,
    )
    try:
        if len(payload) > PIECE_BYTES:
            settle()  # its client may take its time
        await outlet.head(
            200,
            [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(payload)).encode()),
                (b"x-ccapi-cost", costs.total.encode()),
                *exchange.headers(),
            ],
        )
        await outlet.end(payload)
    finally:
        settle()  # in the turn in which the client has its answer
