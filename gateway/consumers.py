"""The chat consumer: ASGI on one side, the walk on the other.

It answers in its own `__call__`: Channels' dispatch loop costs 0.2 ms a request, and its HTTP
consumer notices a vanished client only when its handler ends. A stream's walk runs in a task of its
own, which outlives the client where the provider would bill the rest anyway.
"""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from channels.consumer import AsyncConsumer

from ccapi.core import clock, ids
from ccapi.core.errors import GatewayError, InternalError
from gateway import relay
from gateway.exchange import Exchange
from gateway.incoming import ClientGone, Incoming, check_method, read_body, refusal
from gateway.outlet import Receive, Send, Stream, Whole, until_gone
from gateway.routes import Route

log = structlog.get_logger(__name__)

# Walks in flight; the set keeps their tasks alive.
_running: set[asyncio.Task[None]] = set()


class ChatConsumer(AsyncConsumer):
    """One request on one chat route."""

    def __init__(self, route: Route) -> None:
        self.route = route

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:  # type: ignore[override]  # stubs type ASGI's callables by scope kind
        started = clock.monotonic()
        request_id = ids.uuid7()
        try:
            check_method(scope["method"], scope["path"])
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
            return
        except GatewayError as error:
            await _refuse(self.route, send, request_id, error)
            return
        except Exception:
            log.exception("admission.crashed", request_id=ids.request_id(request_id))
            crash = InternalError(f"Internal error. Request: {ids.request_id(request_id)}.")
            await _refuse(self.route, send, request_id, crash)
            return
        if exchange.request.stream:
            await _stream(exchange, receive, send)
        else:
            # Never cancelled by a client that leaves: the provider bills a whole answer either way.
            await relay.run(exchange, Whole(send))


async def _stream(exchange: Exchange, receive: Receive, send: Send) -> None:
    """Run the walk in a task of its own; follow the provider's policy when the client leaves."""

    def client_left() -> None:
        if outlet.closed.is_set():
            return  # it has had all that there is
        exchange.client_left = True
        outlet.abandon()
        if exchange.candidate.offer.provider.on_disconnect == "cancel":
            walk.cancel()

    outlet = Stream(send, on_stall=client_left)
    walk = asyncio.create_task(relay.run(exchange, outlet))
    _running.add(walk)
    walk.add_done_callback(_ended)
    gone = asyncio.create_task(until_gone(receive))
    gone.add_done_callback(lambda _watcher: client_left())
    try:
        # Where the answer was not completed, the server closes the connection as this returns.
        await outlet.closed.wait()
    finally:
        gone.cancel()


def _ended(walk: "asyncio.Task[None]") -> None:
    _running.discard(walk)
    if not walk.cancelled() and (error := walk.exception()) is not None:
        log.error("walk.crashed", exc_info=error)


async def _refuse(route: Route, send: Send, request_id: UUID, error: GatewayError) -> None:
    status, headers, payload = refusal(route.codec, request_id, error)
    headers["content-length"] = str(len(payload))
    outlet = Whole(send)
    await outlet.head(status, [(name.encode(), value.encode()) for name, value in headers.items()])
    await outlet.end(payload)


async def drain(timeout_s: float) -> bool:
    """Wait for the walks in flight, at most `timeout_s` seconds; whether all ended."""
    if not _running:
        return True
    _, pending = await asyncio.wait(_running, timeout=timeout_s)
    return not pending
