"""One line and one count for each request that is not a walk: refused before it, or Django's.

An admitted chat request has its own line (`exchange.finished`). Routes are told as patterns, never
as the client wrote them: a path may hold anything.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ccapi.core import clock, metrics
from ccapi.core.logs import get_logger

log = get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"


def tell_refused(
    *, request_id: str, code: str, status: int, route: str = UNKNOWN, **more: object
) -> None:
    """A request that ends before any provider is asked; `status` is what the client is told."""
    metrics.REFUSALS.add((code, str(status)))
    log.info(
        "request.refused", request_id=request_id, code=code, status=status, route=route, **more
    )


def tell_answered(request: HttpRequest, response: HttpResponseBase, *, started: float) -> None:
    """A request that Django answered. Files of the admin's pages are counted and not told."""
    method = request.method if request.method in METHODS else metrics.OTHER
    assert method is not None  # noqa: S101 — for mypy: it is one of the above
    route = _route(request)
    caller = getattr(request, "auth", None)
    tell_finished(
        method=method,
        route=route,
        status=response.status_code,
        started=started,
        is_quiet=route == settings.STATIC_URL,
        organization=getattr(caller, "organization", None),
        key=getattr(caller, "key", None),
    )


def tell_finished(
    *,
    method: str,
    route: str,
    status: int,
    started: float,
    is_quiet: bool = False,
    **more: object,
) -> None:
    """A request that was answered; `more` goes into its line."""
    seconds = clock.monotonic() - started
    metrics.HTTP_REQUESTS.add((route, method, str(status)))
    metrics.HTTP_SECONDS.observe((route,), seconds)
    tell = log.debug if is_quiet else log.info
    tell(
        "request.finished",
        method=method,
        route=route,
        status=status,
        latency_ms=round(seconds * 1000),
        **more,
    )


def _route(request: HttpRequest) -> str:
    found = request.resolver_match
    if found is not None:
        return "/" + found.route
    if request.path.startswith(settings.STATIC_URL):
        return str(settings.STATIC_URL)
    return UNKNOWN
