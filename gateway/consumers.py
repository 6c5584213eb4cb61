"""The chat consumer: ASGI on one side, the walk on the other.

It answers in its own `__call__`: Channels' dispatch loop costs 0.2 ms a request, and its HTTP
consumer notices a vanished client only when its handler ends. A stream's walk runs in a task of its
own, which outlives the client where the provider would bill the rest anyway. Which walks are ended
early is `gateway.walks`.
"""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from channels.consumer import AsyncConsumer
from django.conf import settings

from ccapi.core import clock, ids, vitals
from ccapi.core.errors import GatewayError, InternalError, Overloaded
from gateway import ends, ports, refusals, relay, walks
from gateway.exchange import Exchange
from gateway.incoming import ClientGone, Incoming, check_method, is_long, read_body, refusal
from gateway.outlet import Receive, Send, Stream, Whole, no_abort, no_cork, watch
from gateway.routes import Route

log = structlog.get_logger(__name__)


class ChatConsumer(AsyncConsumer):
    """One request on one chat route."""

    def __init__(self, route: Route) -> None:
        self.route = route

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]  # stubs type ASGI's callables by scope kind
        here = vitals.current()
        if here.is_late or here.is_full or walks.current().is_over:
            error = _not_now()
            await _refuse(self.route, scope, send, ids.uuid7(), error, started=clock.monotonic())
            return
        here.in_flight += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            here.in_flight -= 1

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        started = clock.monotonic()
        request_id = ids.uuid7()
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
            await _refuse(self.route, scope, send, request_id, error, started=started)
            return
        except Exception:
            log.exception("admission.crashed", request_id=ids.request_id(request_id))
            crash = InternalError(f"Internal error. Request: {ids.request_id(request_id)}.")
            await _refuse(self.route, scope, send, request_id, crash, started=started)
            return
        if exchange.request.stream:
            await _stream(exchange, scope, receive, send)
        else:
            await _answer(exchange, scope, receive, send)


def _not_now() -> Overloaded:
    """Why nothing new is taken; said before a body is read or a key looked up."""
    if walks.current().is_over:
        return ends.shutting_down()
    return Overloaded("This server has too much to do. Try again soon.")


def _server(scope: dict[str, Any]) -> dict[str, Any]:
    """What an outlet must know of its server: its limit, and what it can do."""
    return {
        "stall_s": settings.CCAPI_CLIENT_STALL_S,
        "abort": scope.get("ccapi.abort", no_abort),
        "cork": scope.get("ccapi.cork", no_cork),
    }


async def _answer(exchange: Exchange, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Run the walk in this task, with an eye on the client, which may have to wait."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has one
    here = walks.current()
    walk = here.begin(exchange, task)
    unwatch = watch(scope, receive, lambda: here.client_left(walk))
    try:
        await relay.run(exchange, Whole(send, **_server(scope)))
    finally:
        unwatch()
        here.ended(walk)


async def _stream(exchange: Exchange, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Run the walk in a task of its own; follow the provider's policy when the client leaves."""

    def client_left() -> None:
        if outlet.closed.is_set():
            return  # it has had all that there is
        outlet.abandon()
        here.client_left(walk)

    def ended(task: "asyncio.Task[None]") -> None:
        here.ended(walk)
        if not outlet.closed.is_set():
            outlet.cut()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("walk.crashed", exc_info=error)

    outlet = Stream(send, on_stall=client_left, **_server(scope))
    here = walks.current()
    task = asyncio.create_task(relay.run(exchange, outlet))
    walk = here.begin(exchange, task)
    task.add_done_callback(ended)
    unwatch = watch(scope, receive, client_left)
    try:
        # Where the answer was not completed, the server closes the connection as this returns.
        await outlet.closed.wait()
    finally:
        unwatch()


async def _refuse(
    route: Route,
    scope: dict[str, Any],
    send: Send,
    request_id: UUID,
    error: GatewayError,
    *,
    started: float,
) -> None:
    status, headers, payload = refusal(route.codec, request_id, error)
    headers["content-length"] = str(len(payload))
    headers["server-timing"] = f"gateway;dur={(clock.monotonic() - started) * 1000:.2f}"
    refusals.tell(route, scope["headers"], request_id, error, started=started, told=status)
    outlet = Whole(send, stall_s=settings.CCAPI_CLIENT_STALL_S)
    await outlet.head(status, [(name.encode(), value.encode()) for name, value in headers.items()])
    await outlet.end(payload)
