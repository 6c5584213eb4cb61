"""One attempt: the request as one candidate wants it, sent, and its answer read under deadlines.

Each attempt is prepared afresh from the client's original request, so that nothing of one
provider's dialect reaches the next. What fails here before any content raises `AttemptFailed`;
`relay` decides what then.
"""

import asyncio

from catalog.types import Timeouts
from gateway import quirks
from gateway.exchange import Exchange
from gateway.ir.events import Event, Failed
from gateway.meter import Meter
from gateway.protocols.base import (
    DirectStream,
    Encoded,
    Frame,
    GarbledStream,
    StreamEncoder,
    Target,
    UpstreamFailure,
)
from gateway.transport import auth, client
from gateway.transport.client import ERROR_BYTES_MAX, AttemptFailed, Upstream, failed
from gateway.transport.sse import SSEParser

# The body of an error answer is there at once or not worth waiting for, in seconds.
ERROR_BODY_S = 2.0


class Deadlines:
    """The time limits of one attempt, on the event loop's clock.

    To the first content, between reads after it, and in all. A streamed answer gets less time for
    its first content while another candidate is left. A whole answer sends nothing until it is
    written, so the limit to the first byte is its limit for thinking and writing: the longer one,
    whatever is left.
    """

    def __init__(self, timeouts: Timeouts, *, stream: bool, has_alternative: bool) -> None:
        self._now = asyncio.get_running_loop().time
        now = self._now()
        self._idle = timeouts.idle
        self._total = now + timeouts.total
        if not stream:
            first = timeouts.first_byte if has_alternative else timeouts.total
        elif has_alternative:
            first = min(timeouts.first_byte_with_alternative, timeouts.first_byte)
        else:
            first = timeouts.first_byte
        self._first = min(now + first, self._total)
        self._has_content = False

    def content_came(self) -> None:
        self._has_content = True

    def next(self) -> float:
        """When the next read must have given something."""
        if self._has_content:
            return min(self._now() + self._idle, self._total)
        return self._first


class Reader:
    """Reads of one stream under its deadlines, with one timer for all of them.

    A timer a read would cost more than the read. This one looks, when it goes off, whether the read
    at hand is overdue, and is set again if not. Time spent writing to a slow client does not count.
    """

    def __init__(self, upstream: Upstream, deadlines: Deadlines) -> None:
        self._upstream = upstream
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._due: float | None = None  # of the read at hand; None between reads
        self._expired = False
        self._timer = self._loop.call_at(deadlines.next(), self._look)

    def close(self) -> None:
        self._timer.cancel()

    async def read(self) -> bytes:
        """Whatever has come; b"" at a proper end. Raises: AttemptFailed."""
        self._due = self._deadlines.next()
        try:
            return await self._upstream.read()
        except asyncio.CancelledError:
            if not self._expired or self._task is None:
                raise
            self._task.uncancel()
            raise failed("timeout", "The provider stopped answering.") from None
        finally:
            self._due = None

    def _look(self) -> None:
        if self._due is None:
            self._timer = self._loop.call_at(self._deadlines.next(), self._look)
        elif self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()


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
    else:
        encoded = candidate.codec.encode_request(exchange.request, target)
    return quirks.apply(candidate.offer.provider.name, encoded)


async def send(exchange: Exchange, encoded: Encoded, deadlines: Deadlines) -> Upstream:
    """The upstream's successful answer, as soon as its head is there; the caller closes it.

    Raises: AttemptFailed for an error answer, no answer, or none in time.
    """
    try:
        async with asyncio.timeout_at(deadlines.next()):
            return await _send(exchange, encoded)
    except TimeoutError as error:
        raise failed("timeout", "The provider did not answer in time.") from error


async def whole(
    exchange: Exchange, encoded: Encoded, deadlines: Deadlines
) -> tuple[Upstream, bytes]:
    """The upstream's whole answer: its head in the time to the first byte, its body without gaps.

    Raises: AttemptFailed.
    """
    try:
        async with asyncio.timeout_at(deadlines.next()) as scope:
            upstream = await _send(exchange, encoded)
            deadlines.content_came()
            try:
                body = await upstream.read_all(progress=lambda: scope.reschedule(deadlines.next()))
            finally:
                upstream.close()
            return upstream, body
    except TimeoutError as error:
        raise failed("timeout", "The provider did not answer in time.") from error


async def _send(exchange: Exchange, encoded: Encoded) -> Upstream:
    provider = exchange.candidate.offer.provider
    codec = exchange.candidate.codec
    key = auth.next_key(provider)
    headers, query = auth.credentials(provider, codec.default_auth, key)
    headers["content-type"] = "application/json"
    headers["accept"] = "text/event-stream" if exchange.request.stream else "application/json"
    headers.update(encoded.headers)
    if exchange.is_direct:
        headers.update(exchange.forwarded)
    url = provider.base_url + encoded.path + ("?" + query if query else "")
    upstream = await client.post(url, encoded.body, headers, connect_s=provider.timeouts.connect)
    exchange.provider_request_id = upstream.request_id
    if upstream.status != 200:
        raise await _error_answer(exchange, upstream, key)
    return upstream


async def _error_answer(exchange: Exchange, upstream: Upstream, key: str) -> AttemptFailed:
    """An error status with its body, understood by its codec, our key scrubbed from it."""
    body = await error_body(upstream)
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
    """An error body (of an error status.

    Or inside a 200) as the provider's codec understands it.
    """
    failure = exchange.candidate.codec.decode_error(upstream.status, upstream.headers, body)
    return AttemptFailed(
        failure, body=body, content_type=upstream.content_type, is_direct=exchange.is_direct
    )


def reported(failed_event: Failed) -> AttemptFailed:
    """An error that the provider reported inside its stream."""
    return AttemptFailed(
        UpstreamFailure(
            kind=failed_event.kind, status=0, message=failed_event.message, code=failed_event.code
        )
    )


class Relayed:
    """The bytes of one upstream stream → the client's: frames, events, meter, and back.

    Same protocol on both sides: the frames as they came. Different ones: the events, encoded anew.
    """

    def __init__(self, exchange: Exchange, meter: Meter) -> None:
        codec, told = exchange.codec, exchange.told()
        self._meter = meter
        self._parser = SSEParser()
        self._decode = exchange.candidate.codec.stream_decoder().decode
        self._direct: DirectStream | None = None
        writer: DirectStream | StreamEncoder
        if exchange.is_direct:
            writer = self._direct = codec.direct_stream(exchange.request, told)
        else:
            writer = self._encoder = codec.stream_encoder(exchange.request, told)
        self.content_type = writer.content_type
        self.end = writer.end
        self.fail = writer.fail

    def take(self, data: bytes) -> tuple[bytes, AttemptFailed | None]:
        """The client's bytes of one read, and what was wrong with the rest of it, if anything.

        Nothing is taken after the protocol's end marker or an error that the provider reported; the
        frame of such an error is not passed on, since the client gets one of our making.
        """
        meter = self._meter
        pieces: list[bytes] = []
        try:
            for frame in self._parser.feed(data):
                events = self._decode(frame)
                meter.observe(events)
                if meter.failed is not None:
                    return b"".join(pieces), reported(meter.failed)
                pieces.append(self._written(frame, events))
                if meter.completed:
                    break
        except GarbledStream as error:
            return b"".join(pieces), garbled(error)
        return b"".join(pieces), None

    def _written(self, frame: Frame, events: tuple[Event, ...]) -> bytes:
        if self._direct is not None:
            return self._direct.forward(frame, events)
        encode = self._encoder.encode
        return b"".join([encode(event) for event in events])


def garbled(error: GarbledStream) -> AttemptFailed:
    """What is not of the provider's protocol.

    The text may quote the answer, so it stays in the log.
    """
    reason = failed("server", "The provider sent something that is not of its protocol.")
    reason.__cause__ = error
    return reason
