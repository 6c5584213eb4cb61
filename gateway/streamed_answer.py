"""An answer that comes piece by piece: passed on as it comes, charged and settled at its end.

Before the first content a failure is the attempt's, and `relay` goes on; after it, the stream is
ended here, with its protocol's error event and never with its success marker.
"""

from billing.types import Outcome
from ccapi.core import clock
from gateway import attempt, ends
from gateway.deadlines import Deadlines, Limit, Reader
from gateway.exchange import Exchange, costs_of
from gateway.meter import Meter
from gateway.outlet import Outlet
from gateway.protocols.base import Encoded, GarbledStream
from gateway.relayed import Relayed
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.tries import Try
from gateway.transport.client import AttemptFailed, Upstream, failed


async def deliver(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: Deadlines,
    turn: Try,
) -> None:
    """A streamed answer. Raises AttemptFailed before content; after it, ends the stream itself."""
    meter = exchange.meter = Meter()
    limit = Limit(deadlines.next())
    try:
        upstream = await attempt.send(exchange, encoded, limit, key=turn.key)
        try:
            reader = Reader(exchange, upstream, deadlines, limit)
            await _pass_on(exchange, outlet, meter, upstream, reader, deadlines, turn)
        finally:
            upstream.close()
    finally:
        limit.end()


async def _pass_on(
    exchange: Exchange,
    outlet: Outlet,
    meter: Meter,
    upstream: Upstream,
    reader: Reader,
    deadlines: Deadlines,
    turn: Try,
) -> None:
    relayed = Relayed(exchange, meter)
    exchange.fail = relayed.fail
    try:
        if exchange.candidate.codec.framing == "sse" and "json" in upstream.content_type:
            body = await attempt.error_body(upstream)
            raise attempt.error_inside(
                exchange, upstream, body, GarbledStream("JSON, not a stream")
            )
        rest = await _Pump(exchange, outlet, reader, meter, relayed, deadlines).run(turn)
    except AttemptFailed as failure:
        if exchange.first_byte_ms is None:
            raise
        boards.current().failed(turn, failure, clock.monotonic())
        await _break_off(exchange, outlet, meter, relayed, failure)
    else:
        await _complete(exchange, outlet, meter, relayed, rest)


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


class _Pump:
    """Upstream bytes → frames → events → meter → the client, until the protocol's own end marker.

    Up to the first content, at the end, and for a client that is behind, this task reads; what lies
    between goes straight on, in the turn in which it comes.
    """

    def __init__(
        self,
        exchange: Exchange,
        outlet: Outlet,
        reader: Reader,
        meter: Meter,
        relayed: Relayed,
        deadlines: Deadlines,
    ) -> None:
        self._exchange = exchange
        self._outlet = outlet
        self._reader = reader
        self._meter = meter
        self._relayed = relayed
        self._deadlines = deadlines
        self._fault: AttemptFailed | None = None  # of the read at hand
        self._last: bytes | None = None  # what came with an end or a fault

    async def run(self, turn: Try) -> bytes:
        """What came with the end marker and is still to be written.

        Raises: AttemptFailed for a stream that breaks, stalls, is garbled, reports an error, or
        ends early.
        """
        chunk = await self._first()
        self._deadlines.content_came()
        await _begin(self._exchange, self._outlet, self._relayed, turn)
        while True:
            self._exchange.bytes_out += len(chunk)
            if self._meter.completed and self._fault is None:
                return chunk
            await self._outlet.write(chunk)
            if self._fault is not None:
                raise self._fault
            chunk = await self._next()

    async def _first(self) -> bytes:
        """The client's bytes, once the first content is among them."""
        meter = self._meter
        waiting: list[bytes] = []
        while True:
            waiting.append(await self._read())
            if meter.has_content or (meter.completed and not meter.is_empty()):
                return b"".join(waiting)
            if meter.completed:
                raise attempt.empty(meter)
            if self._fault is not None:
                raise self._fault

    async def _next(self) -> bytes:
        """Pass on what comes; the client's bytes of what has to be looked at here."""
        await self._reader.pass_on(self._put)
        if self._last is not None:
            return self._last
        await self._outlet.write(b"")  # the client may be behind
        return await self._read()

    async def _read(self) -> bytes:
        data = await self._reader.read()
        if data:
            chunk, self._fault = self._relayed.take(data)
            return chunk
        chunk = self._relayed.body_ended()
        if not self._meter.completed:
            raise failed("server", "The provider's stream ended before its end marker.")
        return chunk

    def _put(self, data: bytes) -> bool:
        """Whether what comes next may be put as well."""
        chunk, self._fault = self._relayed.take(data)
        if self._fault is not None or self._meter.completed:
            self._last = chunk
            return False
        self._exchange.bytes_out += len(chunk)
        return self._outlet.put(chunk)


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
