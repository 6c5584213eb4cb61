"""The walk: from an authenticated request to its settled answer, read top to bottom.

`admit` is everything before the first upstream byte: who calls, what is asked, who may answer, and
the hold that pays for it. `run` tries the candidates in turn; what comes of one that answers is
`whole_answer`'s or `streamed_answer`'s. Until the first content event another candidate may take
over and a failed attempt costs nothing; after it there is no way back: the stream ends complete, or
with its protocol's error event and never with its success marker. Either way the exchange settles
once.
"""

import asyncio
from math import ceil
from uuid import UUID

import msgspec
import structlog

from billing.types import Admission
from ccapi.core import clock, ids
from ccapi.core.errors import (
    GatewayError,
    InternalError,
    InvalidJSON,
    UnsupportedParameter,
)
from ccapi.core.nesting import check_nesting
from gateway import attempt, ends, ports, streamed_answer, traces, whole_answer
from gateway.deadlines import Deadlines
from gateway.exchange import Exchange
from gateway.expected import tokens_expected, tokens_stated
from gateway.incoming import Incoming, refusal
from gateway.outlet import Outlet
from gateway.protocols.base import Body, Encoded
from gateway.routing import board as boards
from gateway.routing import failover
from gateway.routing.blame import OWN_LIMIT
from gateway.routing.plan import candidates_for
from gateway.routing.tries import Tries, Try
from gateway.speech import answer as spoken_answer
from gateway.speech import fitting
from gateway.transport.client import AttemptFailed

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
    if route.kind == "audio":
        candidates = await fitting.fit(candidates, request)
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
    deadlines = Deadlines(
        turn.offer.provider.timeouts,
        stream=exchange.request.stream,
        has_alternative=turn.has_alternative,
        within_s=within_s,
    )
    if exchange.route.kind == "audio":
        await spoken_answer.deliver(exchange, outlet, encoded, deadlines, turn)
    elif exchange.request.stream:
        await streamed_answer.deliver(exchange, outlet, encoded, deadlines, turn)
    else:
        await whole_answer.deliver(exchange, outlet, encoded, deadlines, turn)


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
