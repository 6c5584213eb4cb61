"""The chat consumer: ASGI on one side, the walk on the other.

It answers in its own `__call__`: Channels' dispatch loop costs 0.2 ms a request, and its HTTP
consumer notices a vanished client only when its handler ends. The walk runs in the server's task
for the request, which outlives the client where the provider would bill the rest anyway. Which
walks are ended early is `gateway.walks`.
"""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from channels.consumer import AsyncConsumer
from django.conf import settings

from ccapi.core import clock, ids, vitals
from ccapi.core.errors import GatewayError, InternalError, Overloaded
from ccapi.core.lane import Lane, Messages, Receive, Send, lane_of
from ccapi.core.vitals import Place
from gateway import ends, ports, refusals, relay, walks
from gateway.exchange import Exchange
from gateway.incoming import ClientGone, Incoming, check_method, is_long, read_body, refusal
from gateway.outlet import Stream, Whole
from gateway.routes import Route

log = structlog.get_logger(__name__)


class ChatConsumer(AsyncConsumer):
    """One request on one chat route."""

    def __init__(self, route: Route) -> None:
        self.route = route

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]  # stubs type ASGI's callables by scope kind
        here = vitals.current()
        if here.is_late or here.is_full or walks.current().is_over:
            lane, now = lane_of(scope, receive, send), clock.monotonic()
            await _refuse(self.route, scope, lane, ids.uuid7(), _not_now(), started=now)
            return
        place = here.enter()
        try:
            await self._serve(scope, receive, send, place)
        finally:
            place.leave()

    async def _serve(
        self, scope: dict[str, Any], receive: Receive, send: Send, place: Place
    ) -> None:
        started = clock.monotonic()
        request_id = ids.uuid7()
        lane = lane_of(scope, receive, send)
        try:
            check_method(scope["method"], scope["path"])
            if is_long(scope["headers"]):
                # Strangers must not fill our memory: who asks is known before it is read.
                secret = ports.credential(scope["headers"], scope["query_string"])
                await ports.authenticate(secret)
            body = await read_body(scope["headers"], receive)
            incoming = Incoming(
                route=self.route,
                headers=scope["headers"],
                query=scope["query_string"],
                body=body,
                started=started,
            )
            exchange = await relay.admit(incoming, request_id)
        except ClientGone:
            refusals.tell_gone(self.route, request_id, started=started)
            return
        except GatewayError as error:
            await _refuse(self.route, scope, lane, request_id, error, started=started)
            return
        except Exception:
            log.exception("admission.crashed", request_id=ids.request_id(request_id))
            crash = InternalError(f"Internal error. Request: {ids.request_id(request_id)}.")
            await _refuse(self.route, scope, lane, request_id, crash, started=started)
            return
        if isinstance(lane, Messages):
            # Another server may end its task with the client; the walk decides for itself.
            await asyncio.shield(asyncio.create_task(_walk(exchange, lane, place)))
        else:
            await _walk(exchange, lane, place)


def _not_now() -> Overloaded:
    """Why nothing new is taken; said before a body is read or a key looked up."""
    if walks.current().is_over:
        return ends.shutting_down()
    return Overloaded("This server has too much to do. Try again soon.")


async def _walk(exchange: Exchange, lane: Lane, place: Place) -> None:
    """Run the walk, with an eye on the client.

    A client that leaves takes its provider's policy with it, and its answer may be read on.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has one
    here = walks.current()
    stall_s = settings.CCAPI_CLIENT_STALL_S
    stream: Stream | None = None
    walk = here.begin(exchange, task)

    def client_left() -> None:
        if stream is not None:
            if stream.is_closed:
                return  # it has had all that there is
            stream.abandon()
        place.leave()
        here.client_left(walk)

    if exchange.request.stream:
        stream = Stream(lane, on_stall=client_left, stall_s=stall_s)
    unwatch = lane.watch(client_left)
    try:
        await relay.run(exchange, stream or Whole(lane, stall_s=stall_s))
    finally:
        unwatch()
        here.ended(walk)
        if stream is not None and not stream.is_closed:
            stream.cut()
        stream = None  # which knows `client_left`, which knows it: the collector's, otherwise


async def _refuse(
    route: Route,
    scope: dict[str, Any],
    lane: Lane,
    request_id: UUID,
    error: GatewayError,
    *,
    started: float,
) -> None:
    status, headers, payload = refusal(route.codec, request_id, error)
    headers["content-length"] = str(len(payload))
    headers["server-timing"] = f"gateway;dur={(clock.monotonic() - started) * 1000:.2f}"
    refusals.tell(route, scope["headers"], request_id, error, started=started, told=status)
    outlet = Whole(lane, stall_s=settings.CCAPI_CLIENT_STALL_S)
    await outlet.head(status, [(name.encode(), value.encode()) for name, value in headers.items()])
    await outlet.end(payload)
