"""GET /, GET /schema and GET /docs, for everybody: no key, no login."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

FRESH = "public, max-age=300"
# Nothing but our own files, and no script or style inside the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
YAML = ("application/yaml", "application/x-yaml", "text/yaml")


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The document as JSON, or as YAML where that is preferred."""
    # Loaded here: drf-spectacular and what it brings are 9 MB, in processes that mostly never
    # are asked for it.
    from ccapi.openapi import document

    preferred = request.get_preferred_type(["application/json", *YAML]) or "application/json"
    is_yaml = preferred in YAML
    return HttpResponse(
        document.as_yaml() if is_yaml else document.as_json(),
        content_type=preferred,
        headers={"cache-control": FRESH, "vary": "accept"},
    )


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The front page, with the address under which they found us."""
    from ccapi.openapi import index as front

    return _page(front.page(_origin(request)))


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The page for people, with the address under which they found us."""
    from ccapi.openapi import pages

    return _page(pages.docs(_origin(request)))


def _origin(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")


def _page(html: str) -> HttpResponse:
    headers = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    return HttpResponse(html, headers=headers)
