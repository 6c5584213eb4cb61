"""The image routes that wait or stream, as an ASGI application: who asks, what, and the answer.

Errors come in OpenAI's shape, which is ours. What an order is and how long it is waited for is
`media_jobs.ordering`; progress as a stream, `media_jobs.events`.
"""

from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.conf import settings

from ccapi.core import access, clock, ids
from ccapi.core.errors import GatewayError, InternalError, MethodNotAllowed
from ccapi.core.lane import Receive, Send, lane_of
from gateway.exchange import CLIENT_GONE
from gateway.incoming import ClientGone
from gateway.outlet import Outlet, Whole
from media_jobs import events, ordering
from media_jobs.routes import ImageRoute

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


async def serve(route: ImageRoute, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    started = clock.monotonic()
    request_id = ids.uuid7()
    # Pictures as base64 are megabytes: given piece by piece, and not to who does not read.
    outlet = Whole(lane_of(scope, receive, send), stall_s=settings.CCAPI_CLIENT_STALL_S)
    try:
        _check_method(route, scope["method"])
        if route.job:
            await events.serve(route, scope, receive, send, request_id)
            status = 200
        else:
            answer = await ordering.answer(route, scope, receive, request_id)
            status, body = answer.status, _encode(answer.body)
            await _send(outlet, status, answer.headers, body, request_id, started=started)
    except ClientGone:
        _tell_refused(route, request_id, "client_gone", CLIENT_GONE, started=started)
    except GatewayError as error:
        await _refuse(route, outlet, request_id, error, started=started)
    except Exception:
        log.exception("images.crashed", request_id=ids.request_id(request_id))
        crash = InternalError(f"Internal error. Request: {ids.request_id(request_id)}.")
        await _refuse(route, outlet, request_id, crash, started=started)
    else:
        access.tell_finished(
            method=route.method,
            route=route.path,
            status=status,
            started=started,
            request_id=ids.request_id(request_id),
        )


def refusal(error: GatewayError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error that the guard finds."""
    return error.status, _headers(error, ids.uuid7()), _encode(error.body())


def _check_method(route: ImageRoute, method: str) -> None:
    if method != route.method:
        raise MethodNotAllowed(
            f"{route.path} takes {route.method}, not {method[:20]}.",
            headers={"allow": route.method},
        )


def _headers(error: GatewayError, request_id: UUID) -> dict[str, str]:
    headers = {"x-request-id": ids.request_id(request_id), **error.http_headers()}
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return {"content-type": "application/json", **headers}


async def _refuse(
    route: ImageRoute, outlet: Outlet, request_id: UUID, error: GatewayError, *, started: float
) -> None:
    if error.status == 500:
        error.details["request_id"] = ids.request_id(request_id)
    _tell_refused(route, request_id, error.code, error.status, started=started)
    headers = _headers(error, request_id)
    await _send(outlet, error.status, headers, _encode(error.body()), request_id, started=started)


async def _send(
    outlet: Outlet,
    status: int,
    headers: dict[str, str],
    payload: bytes,
    request_id: UUID,
    *,
    started: float,
) -> None:
    told = {
        "content-type": "application/json",
        "cache-control": "no-store",
        **headers,
        "x-request-id": ids.request_id(request_id),
        "content-length": str(len(payload)),
        "server-timing": f"gateway;dur={(clock.monotonic() - started) * 1000:.2f}",
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    await outlet.head(status, raw)
    await outlet.end(payload)


def _tell_refused(
    route: ImageRoute, request_id: UUID, code: str, status: int, *, started: float
) -> None:
    access.tell_refused(
        request_id=ids.request_id(request_id),
        code=code,
        status=status,
        route=route.path,
        latency_ms=clock.elapsed_ms(started),
    )
