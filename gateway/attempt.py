"""One attempt: the request as one candidate wants it, sent, and its answer read under deadlines.

Each attempt is prepared afresh from the client's original request, so that nothing of one
provider's dialect reaches the next. What fails here before any content raises `AttemptFailed`;
`relay` decides what then.
"""

import asyncio

import msgspec
from django.conf import settings

from ccapi.core import clock
from ccapi.core.errors import UnsupportedParameter, UpstreamRateLimited, UpstreamUnreachable
from gateway import ports, quirks
from gateway.deadlines import Deadlines, Limit
from gateway.exchange import Exchange
from gateway.meter import Meter
from gateway.protocols.base import Encoded, Target, UpstreamFailure
from gateway.relayed import garbled
from gateway.routing import board
from gateway.routing.blame import OWN_LIMIT
from gateway.routing.tries import Try
from gateway.tool_compat.prompt import dialect_for, told_in_text
from gateway.transport import auth, client
from gateway.transport.client import ERROR_BYTES_MAX, AttemptFailed, Upstream, failed

# The body of an error answer is there at once or not worth waiting for, in seconds.
ERROR_BODY_S = 2.0


def prepare(exchange: Exchange) -> Encoded:
    """The current candidate's request. Raises: UnsupportedParameter."""
    candidate = exchange.candidate
    model = candidate.model
    cap = exchange.hold.max_tokens_applied
    if cap is None and exchange.request.max_tokens is None and not model.max_output_tokens:
        # Nobody knows this model's maximum: what is held is what may be written.
        cap = candidate.bound.output_tokens // max(1, exchange.request.n)
    target = Target(
        upstream_model=candidate.offer.upstream_model,
        stream=exchange.request.stream,
        max_tokens=cap if exchange.request.max_tokens is None else None,
        max_output_tokens=model.max_output_tokens,
        capabilities=model.capabilities,
    )
    if exchange.is_direct:
        encoded = candidate.codec.direct_request(exchange.body, target)
        return quirks.apply(candidate.offer.provider.name, encoded)
    if exchange.request.bound and candidate.codec.name != exchange.codec.name:
        name = exchange.request.bound[0]
        raise UnsupportedParameter(
            f"'{name}' refers to what a provider of another protocol keeps: this model's provider"
            " does not know it. Send the whole conversation instead.",
            param=name,
        )
    if candidate.compat:
        told = told_in_text(exchange.asked, dialect_for(target.upstream_model))
        encoded = candidate.codec.encode_request(told, target)
    else:
        encoded = candidate.codec.encode_request(exchange.asked, target)
    return quirks.apply(candidate.offer.provider.name, encoded)


async def send(exchange: Exchange, encoded: Encoded, limit: Limit, *, key: str) -> Upstream:
    """The upstream's successful answer, as soon as its head is there; the caller closes it.

    Raises: AttemptFailed for an error answer, no answer, or none within the limit.
    """
    try:
        return await _send(exchange, encoded, key)
    except asyncio.CancelledError:
        if not limit.expired():
            raise
        raise _late() from None


async def whole(
    exchange: Exchange, encoded: Encoded, deadlines: Deadlines, *, key: str
) -> tuple[Upstream, bytes]:
    """The upstream's whole answer: its head in the time to the first byte, its body without gaps.

    Raises: AttemptFailed.
    """
    limit = Limit(deadlines.next())
    try:
        upstream = await _send(exchange, encoded, key)
        deadlines.content_came()
        since = clock.monotonic()
        try:
            body = await upstream.read_all(progress=lambda: limit.move(deadlines.next()))
        finally:
            exchange.waited(since)
            upstream.close()
    except asyncio.CancelledError:
        if not limit.expired():
            raise
        raise _late() from None
    finally:
        limit.end()
    return upstream, body


def _late() -> AttemptFailed:
    return failed("timeout", "The provider did not answer in time.")


async def _send(exchange: Exchange, encoded: Encoded, key: str) -> Upstream:
    provider = exchange.candidate.offer.provider
    codec = exchange.candidate.codec
    if provider.limits:
        await _grant(exchange)
    headers, query = auth.credentials(provider, codec.default_auth, key)
    headers["content-type"] = "application/json"
    headers["accept"] = "text/event-stream" if exchange.request.stream else "application/json"
    headers.update(encoded.headers)
    if codec.name == exchange.codec.name:
        # Also where a group's rules changed the body: its fields may need what they say.
        headers.update(exchange.forwarded)
    mark = "&" if "?" in encoded.path else "?"
    url = provider.base_url + encoded.path + (mark + query if query else "")
    if exchange.traced is not None and settings.CCAPI_TRACE_UPSTREAM:
        headers["traceparent"] = exchange.traced.traceparent()
    since = clock.monotonic()
    try:
        upstream = await client.post(
            url, encoded.body, headers, connect_s=provider.timeouts.connect
        )
    except AttemptFailed as failure:
        failure.answered = failure.error_code != UpstreamUnreachable.code
        raise
    finally:
        exchange.waited(since)
    exchange.provider_request_id = upstream.request_id
    if upstream.status != 200:
        raise await _error_answer(exchange, upstream, key)
    return upstream


async def _grant(exchange: Exchange) -> None:
    """Take this attempt of what the provider grants us. Raises: AttemptFailed, as its own 429."""
    provider = exchange.candidate.offer.provider
    try:
        exchange.granted = await ports.reserve_upstream(
            provider, exchange.request_id, exchange.tokens_expected
        )
    except UpstreamRateLimited as error:
        raise AttemptFailed(
            UpstreamFailure(
                kind="rate_limited",
                status=error.status,
                message=error.message,
                code=OWN_LIMIT,
                retry_after=error.retry_after,
            )
        ) from error


async def _error_answer(exchange: Exchange, upstream: Upstream, key: str) -> AttemptFailed:
    """An error status with its body, understood by its codec, our key scrubbed from it."""
    since = clock.monotonic()
    body = await error_body(upstream)
    exchange.waited(since)
    upstream.close()
    if key:
        body = body.replace(key.encode(), b"[redacted]")
    return understood(exchange, upstream, body)


async def error_body(upstream: Upstream) -> bytes:
    """The body of an error; empty where it does not come soon, or is no reasonable one."""
    try:
        async with asyncio.timeout(ERROR_BODY_S):
            return await upstream.read_all(ERROR_BYTES_MAX)
    except (TimeoutError, AttemptFailed):
        return b""


def understood(exchange: Exchange, upstream: Upstream, body: bytes) -> AttemptFailed:
    """An error body, of an error status or inside a 200, as the provider's codec reads it."""
    decode_error = exchange.candidate.codec.decode_error
    try:
        failure = decode_error(upstream.status, upstream.headers, body)
    except UnicodeDecodeError:  # Latin-1, for one
        body = body.decode("utf-8", "replace").encode()
        failure = decode_error(upstream.status, upstream.headers, body)
    if failure.status == 200:
        # An error that says no status of its own: nowhere may it be told or counted as a success.
        failure = msgspec.structs.replace(failure, status=0)
    return AttemptFailed(
        failure, body=body, content_type=upstream.content_type, is_direct=exchange.is_direct
    )


def empty(meter: Meter) -> AttemptFailed:
    """An answer without any content: a fault of the provider's, unless it says that it refused."""
    if meter.refused:
        return failed("content_refused", "The provider's policy refused to answer this prompt.")
    return failed("server", "The provider answered without any content.")


def answered(exchange: Exchange, turn: Try) -> None:
    exchange.note_attempt(status=200, since=turn.since)
    board.current().succeeded(turn)


def error_inside(
    exchange: Exchange, upstream: Upstream, body: bytes, error: ValueError
) -> AttemptFailed:
    """A 200 that is no answer: an error object of the provider, or garbage."""
    if b'"error"' in body:
        return understood(exchange, upstream, body)
    return garbled(error)
