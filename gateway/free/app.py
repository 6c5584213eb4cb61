"""The free routes as an ASGI application: who asks, what, and the answer in their protocol.

Errors come in the shape of the path's protocol, as on the chat routes.
"""

from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
import structlog

from ccapi.core import access, clock, ids
from ccapi.core.errors import GatewayError, InternalError, MethodNotAllowed, RouteNotFound
from ccapi.core.lane import Receive, Send
from gateway import ports
from gateway.exchange import CLIENT_GONE
from gateway.free.answers import ANSWERS, Asked
from gateway.free.counting import COUNTERS
from gateway.free.routes import FreeRoute
from gateway.free.voices import list_voices
from gateway.incoming import ClientGone, is_long, read_body, refusal
from gateway.relay import parse

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode
# Those that have to wait for something.
_WAITING = {**COUNTERS, "voices": list_voices}


async def serve(route: FreeRoute, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request; errors are told in the route's protocol."""
    started = clock.monotonic()
    request_id = ids.uuid7()
    try:
        told = await _answer(route, scope, receive, request_id)
    except ClientGone:
        _tell_refused(route, request_id, "client_gone", CLIENT_GONE, started=started)
        return
    except GatewayError as error:
        await _refuse(route, send, request_id, error, started=started)
        return
    except Exception:
        log.exception("free.crashed", request_id=ids.request_id(request_id))
        crash = InternalError(f"Internal error. Request: {ids.request_id(request_id)}.")
        await _refuse(route, send, request_id, crash, started=started)
        return
    access.tell_finished(
        method=scope["method"],
        route=route.path,
        status=200,
        started=started,
        request_id=ids.request_id(request_id),
    )
    headers = {"content-type": "application/json", "x-request-id": ids.request_id(request_id)}
    await _send(send, 200, headers, _encode(told), started=started)


async def _answer(
    route: FreeRoute, scope: dict[str, Any], receive: Receive, request_id: UUID
) -> dict[str, object]:
    """Raises: GatewayError, ClientGone."""
    method, headers, query = scope["method"], scope["headers"], scope["query_string"]
    if route.name == "unknown" or (method == "POST" and route.name in _NAMED and _acts(route)):
        raise RouteNotFound(f"There is no route {scope['path'][:200]!r}. See /docs.")
    if method not in route.methods:
        allowed = ", ".join(route.methods)
        raise MethodNotAllowed(
            f"{route.path} takes {allowed}, not {method[:20]}.", headers={"allow": allowed}
        )
    secret = ports.credential(headers, query)
    body = b""
    if method == "POST":
        if is_long(headers):
            # Strangers must not fill our memory: who asks is known before it is read.
            await ports.authenticate(secret)
        body = await read_body(headers, receive)
    asked = Asked(
        route=route,
        caller=await ports.authenticate(secret),
        snapshot=await ports.catalog(),
        query=dict(parse_qsl(query.decode("latin-1"))),
        body=parse(body) if method == "POST" else {},
    )
    waiting = _WAITING.get(route.name)
    if waiting is not None:
        return await waiting(asked, request_id)
    return ANSWERS[route.name](asked)


_NAMED = ("model", "gemini_model")


def _acts(route: FreeRoute) -> bool:
    """Whether the path ends in an action of Gemini's that we do not know."""
    return ":" in route.model.rpartition("/")[2]


async def _refuse(
    route: FreeRoute, send: Send, request_id: UUID, error: GatewayError, *, started: float
) -> None:
    status, headers, payload = refusal(route.codec, request_id, error)
    _tell_refused(route, request_id, error.code, status, started=started)
    await _send(send, status, headers, payload, started=started)


def _tell_refused(
    route: FreeRoute, request_id: UUID, code: str, status: int, *, started: float
) -> None:
    access.tell_refused(
        request_id=ids.request_id(request_id),
        code=code,
        status=status,
        route=route.path,
        codec=route.codec.name,
        latency_ms=clock.elapsed_ms(started),
    )


async def _send(
    send: Send, status: int, headers: dict[str, str], payload: bytes, *, started: float
) -> None:
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    told += [
        (b"content-length", str(len(payload)).encode()),
        (b"server-timing", b"gateway;dur=%.2f" % ((clock.monotonic() - started) * 1000)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": payload, "more_body": False})
