"""The walk: from an authenticated request to its settled answer, read top to bottom.

`admit` is everything before the first upstream byte: who calls, what is asked, who may answer, and
the hold that pays for it. `run` tries the candidates in turn. Until the first content event another
candidate may take over and a failed attempt costs nothing; after it there is no way back: the
stream ends complete, or with its protocol's error event and never with its success marker. Either
way the exchange settles once.
"""

import asyncio
from math import ceil
from uuid import UUID

import msgspec
import structlog

from billing.types import Admission, Outcome
from ccapi.core import clock, ids
from ccapi.core.errors import (
    GatewayError,
    InternalError,
    InvalidJSON,
    UnsupportedParameter,
)
from ccapi.core.nesting import check_nesting
from gateway import attempt, ends, ports, traces
from gateway.exchange import Exchange, costs_of
from gateway.expected import tokens_expected, tokens_stated
from gateway.incoming import Incoming, refusal
from gateway.meter import Meter
from gateway.outlet import Outlet
from gateway.protocols.base import Body, Encoded, GarbledStream
from gateway.relayed import Relayed, garbled
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.blame import OWN_LIMIT
from gateway.routing.plan import candidates_for
from gateway.routing.tries import Tries, Try
from gateway.tool_compat.mode import read_response
from gateway.transport.client import AttemptFailed, Upstream, failed

log = structlog.get_logger(__name__)

# How often, in seconds, a pause looks whether its client is still there.
LOOK_S = 0.25

_decode_body = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def admit(incoming: Incoming, request_id: UUID) -> Exchange:
    """Everything before the upstream is called. Raises: GatewayError; nothing is held then."""
    route = incoming.route
    caller = await ports.authenticate(ports.credential(incoming.headers, incoming.query))
    body = parse(incoming.body)
    if route.spoken:
        body.update(incoming.spoken())
    request = route.codec.decode_request(body)
    candidates = candidates_for(
        await ports.catalog(),
        caller,
        request,
        body_bytes=len(incoming.body),
        seed=request_id.int,
        group=route.group,
        compat=route.compat,
        kind=route.kind,
    )
    forwarded, traced = incoming.forwarded(), traces.begin(incoming.headers)
    tokens = tokens_expected(request, candidates[0], body_bytes=candidates[0].body_bytes)
    # From here on something is taken, and nothing may fail but what gives it back.
    reservation = await ports.reserve(caller, request_id, tokens, stated=tokens_stated(request))
    try:
        hold = await ports.admit(
            Admission(
                request_id=request_id,
                caller=caller,
                endpoint=route.endpoint,
                bounds=tuple(candidate.bound for candidate in candidates),
                output_is_stated=request.max_tokens is not None,
                choices=max(1, request.n),
            )
        )
    except BaseException as error:
        # The slot and the tokens go back. The request counts: a flood without money ends here too.
        reservation.settle(0)
        if isinstance(error, GatewayError):
            error.headers |= reservation.told()
        raise
    return Exchange(
        request_id=request_id,
        route=route,
        started=incoming.started,
        caller=caller,
        body=body,
        request=request,
        forwarded=forwarded,
        candidates=candidates,
        hold=hold,
        tokens_expected=tokens,
        reservation=reservation,
        received=incoming.received,
        traced=traced,
    )


def parse(data: bytes) -> Body:
    """A JSON object, its values kept raw. Raises: InvalidJSON."""
    check_nesting(data)
    try:
        if not data.isascii():
            data.decode()  # the fields are read later, each by itself
        return _decode_body(data)
    except msgspec.ValidationError as error:
        raise InvalidJSON("The request body must be a JSON object.") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"The request body is not valid JSON: {error}.") from error


async def run(exchange: Exchange, outlet: Outlet) -> None:
    """Try the candidates until one answers; settles the exchange whatever happens."""
    try:
        await _answer_or_refuse(exchange, outlet)
    except asyncio.CancelledError:
        if not exchange.stopped:
            raise
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        await _stopped(exchange, outlet)
    finally:
        # Cancelled before anything was decided: nothing is owed.
        exchange.void(status="client_cancelled", error=None)


async def _stopped(exchange: Exchange, outlet: Outlet) -> None:
    """Ended before its time, by its client or by our own end."""
    if exchange.client_left:
        await ends.of_client(exchange)
    elif exchange.settled:
        outlet.cut()  # it has its answer, but its client does not take it
    elif exchange.first_byte_ms is None or exchange.fail is None:
        error = ends.shutting_down()
        exchange.void(status="server_shutdown", error=error)
        await refuse(exchange, outlet, error)
    else:
        await ends.of_process(exchange, outlet, exchange.fail)


async def _answer_or_refuse(exchange: Exchange, outlet: Outlet) -> None:
    try:
        await _run(exchange, outlet)
    except GatewayError as error:
        exchange.void(
            status="rejected" if error.fault == "client" else "upstream_error", error=error
        )
        await refuse(exchange, outlet, error)
    except Exception:
        log.exception("exchange.crashed", request_id=ids.request_id(exchange.request_id))
        crash = InternalError(f"Internal error. Request: {ids.request_id(exchange.request_id)}.")
        exchange.void(status="internal_error", error=crash)
        if exchange.first_byte_ms is None:
            await refuse(exchange, outlet, crash)
        else:
            outlet.cut()


async def _run(exchange: Exchange, outlet: Outlet) -> None:
    board = boards.current()
    tries = Tries(exchange.candidates, board, now=clock.monotonic(), on_skip=exchange.note_skipped)
    refusal: UnsupportedParameter | None = None
    while (turn := tries.next(clock.monotonic())) is not None:
        if turn.pause_s:
            await _pause(exchange, turn.pause_s)
        if exchange.client_left:
            break
        exchange.candidate = turn.candidate
        turn.since = clock.monotonic()
        try:
            encoded = attempt.prepare(exchange)
        except UnsupportedParameter as error:
            # Another candidate may be able to say it.
            exchange.note_attempt(status=error.status, since=turn.since, error=error.code)
            refusal = error
            continue
        if turn.probes and not await board.claim(turn):
            tries.pass_over(turn, clock.monotonic())
            continue
        exchange.dropped = encoded.dropped
        try:
            await _attempt(exchange, outlet, encoded, turn, within_s=tries.until - turn.since)
        except AttemptFailed as failure:
            _note_failure(exchange, turn, failure)
            tries.failed(turn, failure, clock.monotonic())
        else:
            return
        finally:
            if turn.probes:
                board.released(turn)
    raise _final_error(exchange, tries, refusal)


async def _attempt(
    exchange: Exchange, outlet: Outlet, encoded: Encoded, turn: Try, *, within_s: float
) -> None:
    deadlines = attempt.Deadlines(
        turn.offer.provider.timeouts,
        stream=exchange.request.stream,
        has_alternative=turn.has_alternative,
        within_s=within_s,
    )
    if exchange.request.stream:
        await _stream(exchange, outlet, encoded, deadlines, turn)
    else:
        await _answer(exchange, outlet, encoded, deadlines, turn)


async def _pause(exchange: Exchange, seconds: float) -> None:
    """Wait before a call, as long as the client is there."""
    looks = max(1, ceil(seconds / LOOK_S))
    since = clock.monotonic()
    for _ in range(looks):
        await asyncio.sleep(seconds / looks)
        if exchange.client_left:
            break
    exchange.waited(since)


def _note_failure(exchange: Exchange, turn: Try, failure: AttemptFailed) -> None:
    if failure.failure.code == OWN_LIMIT:
        exchange.note_skipped(turn.candidate, OWN_LIMIT)
        return
    code = failover.error_for(failure, all_rate_limited=True).code
    exchange.note_attempt(status=failover.status_of(failure), since=turn.since, error=code)


def _final_error(
    exchange: Exchange, tries: Tries, refusal: UnsupportedParameter | None
) -> GatewayError:
    """What the client is told when nobody answered: the last failure, and all attempts."""
    if refusal is not None and not tries.failures and not tries.passed:
        return refusal
    now = clock.monotonic()
    passed = [(each.standing.cause, each.standing.until - now) for each in tries.passed]
    error = failover.final_error(tries.failures, passed)
    error.details.setdefault("attempts", exchange.attempts_detail())
    if tries.failures:
        last = tries.failures[-1]
        if failover.is_passed_on(last):
            exchange.passed_on = last
    return error


async def _answer(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: attempt.Deadlines,
    turn: Try,
) -> None:
    """A whole answer: read, understood, charged, settled, told."""
    meter = exchange.meter = Meter()
    upstream, body = await attempt.whole(exchange, encoded, deadlines, key=turn.key)
    try:
        response = exchange.candidate.codec.decode_response(body)
    except (GarbledStream, UnicodeDecodeError) as error:
        raise _error_inside(exchange, upstream, body, error) from error
    meter.watch_response(response)
    if (tools := exchange.compat_tools()) is not None:
        response = read_response(response, tools)
    if meter.is_empty():
        raise _empty(meter)
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    _note_success(exchange, turn)
    usage, source = await meter.final(exchange.asked, whole=True)
    charge = exchange.charge(usage)
    costs = costs_of(charge)
    if exchange.is_direct:
        payload = exchange.codec.direct_response(body, exchange.told(), costs)
    else:
        payload = exchange.codec.encode_response(response, exchange.told(), usage, costs)
    exchange.bytes_out = len(payload)
    estimated = usage is not response.usage
    exchange.settle(
        outcome=Outcome.ESTIMATED if estimated else Outcome.CAPTURED,
        usage=usage,
        source=source,
        status="client_cancelled" if exchange.client_left else "ok",
        finish_reason=meter.finish_reason,
        charge=charge,
    )
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


def _empty(meter: Meter) -> AttemptFailed:
    """An answer without any content: a fault of the provider's, unless it says that it refused."""
    if meter.refused:
        return failed("content_refused", "The provider's policy refused to answer this prompt.")
    return failed("server", "The provider answered without any content.")


def _note_success(exchange: Exchange, turn: Try) -> None:
    exchange.note_attempt(status=200, since=turn.since)
    boards.current().succeeded(turn)


def _error_inside(
    exchange: Exchange, upstream: Upstream, body: bytes, error: ValueError
) -> AttemptFailed:
    """A 200 that is no answer: an error object of the provider, or garbage."""
    if b'"error"' in body:
        return attempt.understood(exchange, upstream, body)
    return garbled(error)


async def _stream(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: attempt.Deadlines,
    turn: Try,
) -> None:
    """A streamed answer. Raises AttemptFailed before content; after it, ends the stream itself."""
    meter = exchange.meter = Meter()
    upstream = await attempt.send(exchange, encoded, deadlines, key=turn.key)
    relayed = Relayed(exchange, meter)
    exchange.fail = relayed.fail
    reader = attempt.Reader(exchange, upstream, deadlines)
    try:
        if exchange.candidate.codec.framing == "sse" and "json" in upstream.content_type:
            body = await attempt.error_body(upstream)
            raise _error_inside(exchange, upstream, body, GarbledStream("JSON, not a stream"))
        await _pump(exchange, outlet, reader, deadlines, meter, relayed, turn=turn)
    except AttemptFailed as failure:
        if exchange.first_byte_ms is None:
            raise
        boards.current().failed(turn, failure, clock.monotonic())
        await _break_off(exchange, outlet, meter, relayed, failure)
    else:
        await _complete(exchange, outlet, meter, relayed)
    finally:
        reader.close()
        upstream.close()


async def _complete(exchange: Exchange, outlet: Outlet, meter: Meter, relayed: Relayed) -> None:
    """The stream came to its proper end: the charge, the settlement, the client's own end."""
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
    await outlet.end(last)


async def _pump(
    exchange: Exchange,
    outlet: Outlet,
    reader: attempt.Reader,
    deadlines: attempt.Deadlines,
    meter: Meter,
    relayed: Relayed,
    *,
    turn: Try,
) -> None:
    """Upstream bytes → frames → events → meter → the client, until the protocol's own end marker.

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
                raise _empty(meter)
        if exchange.first_byte_ms is not None and chunk:
            exchange.bytes_out += len(chunk)
            await outlet.write(chunk)
        if fault is not None:
            raise fault
        if meter.completed:
            return


async def _begin(exchange: Exchange, outlet: Outlet, relayed: Relayed, turn: Try) -> None:
    """The first content is there: from here on this candidate is the one that answers."""
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    _note_success(exchange, turn)
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


async def refuse(exchange: Exchange, outlet: Outlet, error: GatewayError) -> None:
    """Tell the client of an error before any content, in its own protocol."""
    status, headers, payload = refusal(exchange.codec, exchange.request_id, error)
    passed_on = exchange.passed_on
    if passed_on is not None:
        status, payload = passed_on.failure.status, passed_on.body
        headers["content-type"] = passed_on.content_type or headers["content-type"]
    headers["content-length"] = str(len(payload))
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    own = [pair for pair in exchange.headers() if pair[0] != b"x-request-id"]
    await outlet.head(status, raw + own)
    await outlet.end(payload)
