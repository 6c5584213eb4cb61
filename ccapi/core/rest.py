"""How Django and REST framework answer: errors in one shape, a request id on everything.

`exception_handler` serves REST views, `bad_request` to `server_error` the URL configuration, the
two middlewares every other Django answer. A person whose browser asks for HTML (the admin) gets
Django's own pages for what no view handled. The chat routes render errors themselves, in the
client's protocol.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import orjson
import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from ccapi.core import access, clock, ids
from ccapi.core.errors import (
    BillingUnavailable,
    Forbidden,
    GatewayError,
    InternalError,
    InvalidJSON,
    InvalidParameter,
    InvalidRequest,
    MethodNotAllowed,
    MissingParameter,
    NotFound,
    RateLimited,
    RequestTooLarge,
    RouteNotFound,
    Unauthorized,
)

REQUEST_ID = "x-request-id"
GetResponse = Callable[[HttpRequest], Any]  # a response, or an awaitable of one


def exception_handler(exc: Exception, _context: Mapping[str, Any]) -> Response | None:
    """REST framework's hook; None leaves a fault of ours to Django, which logs it."""
    error = translate(exc)
    if error is None:
        return None
    set_rollback()
    return Response(error.body(), status=error.status, headers=_headers(error))


def translate(exc: Exception) -> GatewayError | None:
    """Our error for what Django, REST framework or PostgreSQL raised; None for a fault of ours."""
    match exc:
        case GatewayError():
            return exc
        case OperationalError() | InterfaceError():
            return BillingUnavailable("The database is away. Try again in a moment.")
        case Http404():
            return NotFound("There is no such thing here.")
        case PermissionDenied():
            return Forbidden("This is not allowed.")
        case RequestDataTooBig():
            return RequestTooLarge("The body is too large.")
        case SuspiciousOperation():
            return InvalidRequest("The request is malformed.")
        case exceptions.APIException():
            return _translate_rest(exc)
    return None


def _translate_rest(exc: exceptions.APIException) -> GatewayError | None:
    text = str(exc.detail)
    match exc:
        case exceptions.ValidationError():
            return _invalid(exc)
        case exceptions.ParseError():
            return InvalidJSON(text)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthorized(text)
        case exceptions.PermissionDenied():
            return Forbidden(text)
        case exceptions.NotFound():
            return NotFound(text)
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(text)
        case exceptions.UnsupportedMediaType():
            return InvalidParameter(text, param="content-type")
        case exceptions.NotAcceptable():
            return InvalidParameter(text, param="accept")
        case exceptions.Throttled():
            return RateLimited(text, retry_after=getattr(exc, "wait", None))
    return None


def _invalid(exc: exceptions.ValidationError) -> GatewayError:
    """The first thing that is wrong, and where: `limits.rpm`, `items.0.id`."""
    path: list[str] = []
    detail: object = exc.detail
    while not isinstance(detail, exceptions.ErrorDetail):
        if isinstance(detail, Mapping):
            name, detail = next(iter(detail.items()))
            path += [] if name == "non_field_errors" else [str(name)]
        else:
            items = cast("list[object]", detail)
            index = next(i for i, item in enumerate(items) if item)
            detail = items[index]
            # A list of messages belongs to its field; a list of lists or mappings has positions.
            path += [] if isinstance(detail, exceptions.ErrorDetail) else [str(index)]
    param = ".".join(path) or None
    kind = MissingParameter if detail.code == "required" else InvalidParameter
    return kind(f"{param}: {detail}" if param else str(detail), param=param)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _wants_page(request):
        return defaults.bad_request(request, exception)
    return render(request, InvalidRequest("The request is malformed."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _wants_page(request):
        return defaults.permission_denied(request, exception)
    return render(request, Forbidden("This is not allowed."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _wants_page(request):
        return defaults.page_not_found(request, exception)
    return render(request, RouteNotFound(f"There is no route {request.path[:200]!r}."))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django has logged the fault with its traceback; the caller learns the request id alone."""
    if _wants_page(request):
        return defaults.server_error(request)
    return render(request, InternalError("Internal error."))


def render(request: HttpRequest, error: GatewayError) -> HttpResponse:
    """An error as a plain Django response."""
    found = request_id(request)
    if error.status == 500:
        error.details["request_id"] = found
    response = HttpResponse(
        orjson.dumps(error.body()),
        status=error.status,
        content_type="application/json",
        headers=_headers(error),
    )
    response.headers[REQUEST_ID] = found
    return response


def request_id(request: HttpRequest) -> str:
    """The id of this request, made on first use: `req_…`."""
    found = getattr(request, "ccapi_request_id", None)
    if found is None:
        found = ids.request_id(ids.uuid7())
        request.ccapi_request_id = found  # type: ignore[attr-defined]  # rides along
    return found


class _Middleware:
    """A middleware that needs no thread under ASGI and no event loop without."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if not hasattr(request, "ccapi_started"):
            request.ccapi_started = clock.monotonic()  # type: ignore[attr-defined]  # rides along
        if self._is_async:
            return self._answer(request)
        with structlog.contextvars.bound_contextvars(request_id=request_id(request)):
            return self.finish(request, self._get_response(request))

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with structlog.contextvars.bound_contextvars(request_id=request_id(request)):
            return self.finish(request, await self._get_response(request))

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        raise NotImplementedError


class RequestIdMiddleware(_Middleware):
    """`x-request-id` on every answer, and on every log line written meanwhile.

    And `cache-control: no-store` on every answer that does not say otherwise: what one key or
    person may see, no cache may show to another. It is the outermost, so it tells of the request
    as well: one line in the log, and `Server-Timing`.
    """

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers[REQUEST_ID] = request_id(request)
        response.headers.setdefault("cache-control", "no-store")
        started: float = request.ccapi_started  # type: ignore[attr-defined]  # rides along
        took_ms = (clock.monotonic() - started) * 1000
        response.headers["server-timing"] = f"gateway;dur={took_ms:.2f}"
        access.tell_answered(request, response, started=started)
        return response


class ErrorMiddleware(_Middleware):
    """Our error shape for what plain Django views raise, and for Django's empty 405."""

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not isinstance(response, HttpResponseNotAllowed) or response.content:
            return response
        error = MethodNotAllowed(f"Method {request.method} is not allowed here.")
        error.headers["allow"] = response.headers["allow"]
        return render(request, error)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        # Django's own pages for what is not an error of ours: 404, 403 and 400 have handlers.
        if isinstance(exc, GatewayError | OperationalError | InterfaceError):
            error = translate(exc)
            return render(request, error) if error else None
        return None


def _headers(error: GatewayError) -> dict[str, str]:
    headers = error.http_headers()
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return headers


def _wants_page(request: HttpRequest) -> bool:
    """Browsers name text/html; SDKs and curl name JSON or take anything."""
    return "text/html" in request.headers.get("accept", "")
