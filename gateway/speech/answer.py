"""What comes of a provider that speaks: audio passed on as it comes, or made whole first.

The first byte of audio is the first content: until it, a failure is the attempt's, and `relay` goes
on to the next candidate. After it a broken stream is cut, so that no client takes it for complete
(or ends with an error event, where events were asked for), charged by what is known, and told on
its receipt. A recording that must be whole (a link, base64, another format than the provider has)
costs nothing until it is.
"""

import msgspec

from billing.types import Outcome, UsageSource
from ccapi.core import clock
from gateway import attempt, ends
from gateway.deadlines import Deadlines, Limit, Reader
from gateway.exchange import Exchange, costs_of
from gateway.ir.response import Costs
from gateway.outlet import PIECE_BYTES, Outlet
from gateway.protocols.base import Encoded, GarbledStream
from gateway.relayed import garbled
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.tries import Try
from gateway.speech import formats, keeping
from gateway.speech.client import Bytes, Events, Piece, told_whole
from gateway.speech.converting import WHOLE_BYTES_MAX, Place, seconds
from gateway.speech.meter import SpeechMeter
from gateway.speech.recording import Recording
from gateway.speech.values import Spoken, spoken_of
from gateway.transport.client import AttemptFailed, failed

EXACT = (UsageSource.PROVIDER, UsageSource.REQUEST)


async def deliver(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: Deadlines,
    turn: Try,
) -> None:
    """Raises AttemptFailed before content; after it, ends the answer itself."""
    spoken = spoken_of(exchange.asked)
    meter = SpeechMeter(spoken)
    exchange.meter = meter
    limit = Limit(deadlines.next())
    try:
        upstream = await attempt.send(exchange, encoded, limit, key=turn.key)
        try:
            reader = Reader(exchange, upstream, deadlines, limit)
            recording = Recording(exchange, spoken, meter, upstream, reader, deadlines)
            await recording.open()
            if spoken.is_whole or spoken.is_converted:
                await _whole(recording, outlet, turn)
            else:
                await _streamed(recording, outlet, turn)
        finally:
            upstream.close()
    finally:
        limit.end()


async def _streamed(recording: Recording, outlet: Outlet, turn: Try) -> None:
    """Audio as it comes."""
    exchange, spoken = recording.exchange, recording.spoken
    writer = Events() if spoken.delivery == "events" else Bytes(spoken.format)
    exchange.fail = writer.fail
    try:
        audio = await recording.start()
        await _begin(exchange, outlet, turn, writer.content_type)
        while audio:
            await _write(exchange, outlet, writer.encode(audio))
            audio = await recording.more()
    except AttemptFailed as failure:
        if exchange.first_byte_ms is None:
            raise
        boards.current().failed(turn, failure, clock.monotonic())
        await _break_off(recording, outlet, writer, failure)
        return
    await _complete(recording, outlet, writer)


async def _begin(exchange: Exchange, outlet: Outlet, turn: Try, content_type: str) -> None:
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    attempt.answered(exchange, turn)
    await outlet.head(
        200,
        [
            (b"content-type", content_type.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *exchange.headers(),
        ],
    )


async def _write(exchange: Exchange, outlet: Outlet, data: bytes) -> None:
    exchange.bytes_out += len(data)
    await outlet.write(data)


async def _complete(recording: Recording, outlet: Outlet, writer: Bytes | Events) -> None:
    exchange = recording.exchange
    usage, source = await recording.meter.final(exchange.asked, whole=True)
    charge = exchange.charge(usage)
    last = writer.end(usage, costs_of(charge))
    exchange.bytes_out += len(last)
    exchange.settle(
        outcome=Outcome.CAPTURED if source in EXACT else Outcome.ESTIMATED,
        usage=usage,
        source=source,
        status="client_cancelled" if exchange.client_left else "ok",
        charge=charge,
    )
    await outlet.end(last)


async def _break_off(
    recording: Recording, outlet: Outlet, writer: Bytes | Events, failure: AttemptFailed
) -> None:
    """After content there is no other candidate: the break is told, then billed."""
    exchange = recording.exchange
    error = failover.error_for(failure, all_rate_limited=True)
    last = writer.fail(error)
    if last is None:
        outlet.cut()
    else:
        await outlet.end(last)
    status = "timeout" if failure.failure.kind == "timeout" else "upstream_error"
    await ends.settle_partial(exchange, recording.meter, status=status, error=error)


async def _whole(recording: Recording, outlet: Outlet, turn: Try) -> None:
    """A recording that is made whole: read, converted, measured, kept, charged, told."""
    exchange, spoken = recording.exchange, recording.spoken
    made = spoken.fit.made
    with Place() as place:
        data = await _read(recording, place)
        try:
            if spoken.is_converted:
                data, made = await place.converted(data, made, spoken.format), spoken.format
            piece = await _piece(exchange, spoken, data, made) if spoken.is_whole else None
        except GarbledStream as error:
            raise garbled(error) from error
        exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
        attempt.answered(exchange, turn)
        usage, source = await recording.meter.final(exchange.asked, whole=True)
        charge = exchange.charge(usage)
        costs = costs_of(charge)
        if piece is not None:
            told = told_whole(exchange.told(), piece, usage, costs)
            content_type = "application/json"
        elif spoken.delivery == "events":
            told = Events().encode(data) + Events().end(usage, costs)
            content_type = Events.content_type
        else:
            told, content_type = data, formats.media_type(spoken.format)
        exchange.bytes_out = len(told)
        exchange.settle(
            outcome=Outcome.CAPTURED if source in EXACT else Outcome.ESTIMATED,
            usage=usage,
            source=source,
            status="client_cancelled" if exchange.client_left else "ok",
            charge=charge,
        )
        await _tell(exchange, outlet, told, content_type, costs)


async def _read(recording: Recording, place: Place) -> bytes:
    """All of it. Raises: AttemptFailed, Overloaded."""
    pieces: list[bytes] = []
    size = 0
    audio = await recording.start()
    while audio:
        size += len(audio)
        if size > WHOLE_BYTES_MAX:
            raise failed("server", f"The recording is longer than {WHOLE_BYTES_MAX} bytes.")
        place.take(len(audio))
        pieces.append(audio)
        audio = await recording.more()
    return b"".join(pieces)


async def _piece(exchange: Exchange, spoken: Spoken, data: bytes, made: str) -> Piece:
    """The recording as JSON tells it, kept where a link is wanted. Raises: GarbledStream."""
    piece = Piece(
        size=len(data),
        format=spoken.format,
        seconds=await seconds(data, made),
        data=data if spoken.delivery == "b64_json" else b"",
    )
    if spoken.delivery == "b64_json":
        return piece
    kept = await keeping.kept(
        data,
        media_type=formats.media_type(spoken.format).partition(";")[0],
        organization_id=exchange.caller.organization_id,
        request_id=exchange.request_id,
    )
    return msgspec.structs.replace(
        piece,
        url=keeping.absolute(kept.url_path, exchange.forwarded),
        expires_at=int(kept.expires_at.timestamp()),
    )


async def _tell(
    exchange: Exchange, outlet: Outlet, told: bytes, content_type: str, costs: Costs
) -> None:
    await outlet.head(
        200,
        [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(told)).encode()),
            (b"x-ccapi-cost", costs.total.encode()),
            *exchange.headers(),
        ],
    )
    if exchange.request.stream:
        # A slow client is looked after piece by piece.
        last = (len(told) - 1) // PIECE_BYTES * PIECE_BYTES
        for at in range(0, last, PIECE_BYTES):
            await outlet.write(told[at : at + PIECE_BYTES])
        told = told[last:]
    await outlet.end(told)
