"""The walk: from an authenticated request to its settled answer, read top to bottom.

`admit` is everything before the first upstream byte: who calls, what is asked, who may answer, and
the hold that pays for it. `run` tries the candidates in turn. Until the first content event another
candidate may take over and a failed attempt costs nothing; after it there is no way back: the
stream ends complete, or with its protocol's error event and never with its success marker. Either
way the exchange settles once.
"""

import asyncio
from uuid import UUID

import msgspec
import structlog

from billing.types import Admission, Outcome
from ccapi.core import clock, ids
from ccapi.core.errors import (
    GatewayError,
    InternalError,
    InvalidJSON,
    NoProviderAvailable,
    UnsupportedParameter,
)
from gateway import attempt, ports
from gateway.exchange import Exchange, costs_of
from gateway.incoming import Incoming, refusal
from gateway.meter import Meter
from gateway.outlet import Outlet
from gateway.protocols.base import Body, Encoded, GarbledStream
from gateway.routing import failover
from gateway.routing.plan import Candidate, candidates_for
from gateway.transport.client import AttemptFailed, Upstream, failed

log = structlog.get_logger(__name__)

_decode_body = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def admit(incoming: Incoming, request_id: UUID) -> Exchange:
    """Everything before the upstream is called. Raises: GatewayError; nothing is held then."""
    route = incoming.route
    caller = await ports.authenticate(ports.credential(incoming.headers, incoming.query))
    body = parse(incoming.body)
    request = route.codec.decode_request(body)
    snapshot = await ports.catalog()
    candidates = candidates_for(snapshot, caller, request, body_bytes=len(incoming.body))
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
    return Exchange(
        request_id=request_id,
        route=route,
        started=incoming.started,
        caller=caller,
        body=body,
        request=request,
        forwarded=incoming.forwarded(),
        candidates=candidates,
        hold=hold,
    )


def parse(data: bytes) -> Body:
    """A JSON object, its values kept raw. Raises: InvalidJSON."""
    try:
        return _decode_body(data)
    except msgspec.ValidationError as error:
        raise InvalidJSON("The request body must be a JSON object.") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"The request body is not valid JSON: {error}.") from error


async def run(exchange: Exchange, outlet: Outlet) -> None:
    """Try the candidates until one answers; settles the exchange whatever happens."""
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
    finally:
        # Cancelled before anything was decided (a shutdown): nothing is owed.
        exchange.void(status="client_cancelled", error=None)


async def _run(exchange: Exchange, outlet: Outlet) -> None:
    candidates = exchange.candidates
    failures: list[AttemptFailed] = []
    refusal: UnsupportedParameter | None = None
    window_needed = 0
    for turn, candidate in enumerate(candidates):
        if _too_small(candidate, window_needed):
            continue
        exchange.candidate = candidate
        since = clock.monotonic()
        try:
            encoded = attempt.prepare(exchange)
        except UnsupportedParameter as error:
            # Another candidate may be able to say it.
            exchange.note_attempt(status=error.status, since=since, error=error.code)
            refusal = error
            continue
        exchange.dropped = encoded.dropped
        deadlines = attempt.Deadlines(
            candidate.offer.provider.timeouts,
            stream=exchange.request.stream,
            has_alternative=turn + 1 < len(candidates),
        )
        try:
            if exchange.request.stream:
                await _stream(exchange, outlet, encoded, deadlines, since=since)
            else:
                await _answer(exchange, outlet, encoded, deadlines, since=since)
        except AttemptFailed as failure:
            failures.append(failure)
            code = failover.error_for(failure, all_rate_limited=True).code
            exchange.note_attempt(status=failover.status_of(failure), since=since, error=code)
            if exchange.client_left or not failover.moves_on(failure):
                break
            if failure.failure.kind == "context_length":
                window_needed = max(window_needed, candidate.model.context_length + 1)
        else:
            return
    raise _final_error(exchange, failures, refusal)


def _too_small(candidate: Candidate, window_needed: int) -> bool:
    """After "context too long", only a larger window may succeed (an unknown one is tried)."""
    return 0 < candidate.model.context_length < window_needed


def _final_error(
    exchange: Exchange, failures: list[AttemptFailed], refusal: UnsupportedParameter | None
) -> GatewayError:
    """What the client is told when every candidate failed: the last failure, and all attempts."""
    if not failures:
        return refusal or NoProviderAvailable(
            "No provider of this model is available at this time."
        )
    last = failures[-1]
    all_limited = all(failure.failure.kind == "rate_limited" for failure in failures)
    error = failover.error_for(last, all_rate_limited=all_limited)
    error.details.setdefault("attempts", exchange.attempts_detail())
    if last.is_direct and last.body and last.failure.status in failover.PASSED_ON:
        exchange.passed_on = last
    return error


async def _answer(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: attempt.Deadlines,
    *,
    since: float,
) -> None:
    """A whole answer: read, understood, charged, settled, told."""
    upstream, body = await attempt.whole(exchange, encoded, deadlines)
    try:
        response = exchange.candidate.codec.decode_response(body)
    except GarbledStream as error:
        raise _error_inside(exchange, upstream, body, error) from error
    meter = Meter()
    meter.watch_response(response)
    if meter.is_empty():
        raise failed("server", "The provider answered without any content.")
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    exchange.note_attempt(status=200, since=since)
    usage, source = await meter.final(exchange.request, whole=True)
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


def _error_inside(
    exchange: Exchange, upstream: Upstream, body: bytes, error: GarbledStream
) -> AttemptFailed:
    """A 200 that is no answer: an error object of the provider, or garbage."""
    if b'"error"' in body:
        return attempt.understood(exchange, upstream, body)
    return attempt.garbled(error)


async def _stream(
    exchange: Exchange,
    outlet: Outlet,
    encoded: Encoded,
    deadlines: attempt.Deadlines,
    *,
    since: float,
) -> None:
    """A streamed answer. Raises AttemptFailed before content; after it, ends the stream itself."""
    upstream = await attempt.send(exchange, encoded, deadlines)
    meter = Meter()
    relayed = attempt.Relayed(exchange, meter)
    reader = attempt.Reader(upstream, deadlines)
    try:
        if "json" in upstream.content_type:
            body = await attempt.error_body(upstream)
            raise _error_inside(exchange, upstream, body, GarbledStream("JSON, not a stream"))
        await _pump(exchange, outlet, reader, deadlines, meter, relayed, since=since)
    except AttemptFailed as failure:
        if exchange.first_byte_ms is None:
            raise
        await _break_off(exchange, outlet, meter, relayed, failure)
    except asyncio.CancelledError:
        if not exchange.client_left:
            raise
        # The client hung up and this provider stops billing when we do: charge what was delivered.
        upstream.close()
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        await _settle_partial(exchange, meter, status="client_cancelled", error=None)
    else:
        await _complete(exchange, outlet, meter, relayed)
    finally:
        reader.close()
        upstream.close()


async def _complete(
    exchange: Exchange, outlet: Outlet, meter: Meter, relayed: attempt.Relayed
) -> None:
    """The stream came to its proper end: the charge, the settlement, the client's own end."""
    usage, source = await meter.final(exchange.request, whole=True)
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
    relayed: attempt.Relayed,
    *,
    since: float,
) -> None:
    """Upstream bytes → frames → events → meter → the client, until the protocol's own end marker.

    Raises: AttemptFailed for a stream that breaks, stalls, is garbled, reports an error, or ends
    early.
    """
    waiting: list[bytes] = []  # the client's bytes before the first content
    while True:
        data = await reader.read()
        if not data:
            raise failed("server", "The provider's stream ended before its end marker.")
        chunk, fault = relayed.take(data)
        if exchange.first_byte_ms is None:
            waiting.append(chunk)
            if meter.has_content or (meter.completed and not meter.is_empty()):
                deadlines.content_came()
                await _begin(exchange, outlet, relayed, since=since)
                chunk = b"".join(waiting)
            elif meter.completed:
                raise failed("server", "The provider's stream ended without any content.")
        if exchange.first_byte_ms is not None and chunk:
            exchange.bytes_out += len(chunk)
            await outlet.write(chunk)
        if fault is not None:
            raise fault
        if meter.completed:
            return


async def _begin(
    exchange: Exchange, outlet: Outlet, relayed: attempt.Relayed, *, since: float
) -> None:
    """The first content is there: from here on this candidate is the one that answers."""
    exchange.first_byte_ms = clock.elapsed_ms(exchange.started)
    exchange.note_attempt(status=200, since=since)
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
    relayed: attempt.Relayed,
    failure: AttemptFailed,
) -> None:
    """After content there is no other candidate: the protocol's error event, then the bill."""
    error = failover.error_for(failure, all_rate_limited=True)
    await outlet.end(relayed.fail(error))
    status = "timeout" if failure.failure.kind == "timeout" else "upstream_error"
    await _settle_partial(exchange, meter, status=status, error=error)


async def _settle_partial(
    exchange: Exchange, meter: Meter, *, status: str, error: GatewayError | None
) -> None:
    """Charge a broken answer: the input, and the output that was delivered."""
    usage, source = await meter.final(exchange.request, whole=False)
    exchange.settle(
        outcome=Outcome.PARTIAL,
        usage=usage,
        source=source,
        status=status,
        error=error,
        finish_reason=meter.finish_reason,
    )


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
