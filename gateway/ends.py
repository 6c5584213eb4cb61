"""Exchanges that are ended before their time: by a client that left, or by our own shutdown.

Charged is what was used by then (published policy): nothing where no provider was asked yet; else
the input and what was delivered of the output. A client that is still there gets its protocol's
error: a refusal where nothing was sent, an error event where its stream had begun (audio has none,
and is cut). Never the success marker.
"""

import asyncio

from billing.types import Outcome
from ccapi.core.errors import GatewayError, Overloaded
from gateway.exchange import Exchange, Fail
from gateway.meter import Meter
from gateway.outlet import Outlet

# A client that does not take its last event within this, in seconds, is hung up on.
LAST_EVENT_S = 2.0


def shutting_down() -> Overloaded:
    """What clients are told whom a restart keeps from their answer."""
    return Overloaded("This server is restarting. Try again: another one answers.")


async def settle_partial(
    exchange: Exchange, meter: Meter, *, status: str, error: GatewayError | None
) -> None:
    """Charge a broken answer: the input, and the output that was delivered."""
    usage, source = await meter.final(exchange.asked, whole=meter.completed)
    exchange.settle(
        outcome=Outcome.PARTIAL,
        usage=usage,
        source=source,
        status=status,
        error=error,
        finish_reason=meter.finish_reason,
    )


async def of_client(exchange: Exchange) -> None:
    """Its client is gone, and the provider has been hung up on."""
    if exchange.meter is None:
        exchange.void(status="client_cancelled", error=None)
    elif not exchange.settled:
        await settle_partial(exchange, exchange.meter, status="client_cancelled", error=None)


async def of_process(exchange: Exchange, outlet: Outlet, fail: Fail) -> None:
    """The process ends and the client is still there; its stream has begun."""
    error = shutting_down()
    last = fail(error)
    if last is None:
        outlet.cut()
    else:
        try:
            async with asyncio.timeout(LAST_EVENT_S):
                await outlet.end(last)
        except TimeoutError:
            outlet.cut()
    if exchange.meter is not None:
        await settle_partial(exchange, exchange.meter, status="server_shutdown", error=error)
