"""GET /, GET /schema and GET /docs, for everybody: no key, no login. And a login all the same.

Whoever has logged in sees the groups of their own organizations on the front page.
"""

from typing import TypeVar

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.views.decorators.http import require_safe

Answer = TypeVar("Answer", bound=HttpResponseBase)

FRESH = "public, max-age=300"
# Nothing but our own files, and no script or style inside the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
)
NO_FORMS, OUR_FORMS = "'none'", "'self'"
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

    if not request.user.is_authenticated:
        return _page(front.page(_origin(request)))
    html = front.page_of(
        request.user.pk,
        _origin(request),
        user=request.user.get_username(),
        csrf_token=get_token(request),
    )
    return _private(_page(html, forms=OUR_FORMS))


class Login(LoginView):
    """By e-mail and password. The same answer for an unknown person and a wrong password."""

    template_name = "openapi/login.html"
    next_page = "/"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return _private(_with_policy(super().dispatch(request, *args, **kwargs), OUR_FORMS))


class Logout(LogoutView):
    """By POST alone, so that no link of another page logs anybody out."""

    next_page = "/"


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The page for people, with the address under which they found us."""
    from ccapi.openapi import pages

    return _page(pages.docs(_origin(request)))


def _origin(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")


def _page(html: str, *, forms: str = NO_FORMS) -> HttpResponse:
    return _with_policy(HttpResponse(html), forms)


def _with_policy(answer: Answer, forms: str) -> Answer:
    answer.headers["content-security-policy"] = POLICY.format(forms=forms)
    # Of a page that sends no referrer a form's origin is `null`, which is nobody's.
    answer.headers["referrer-policy"] = "no-referrer" if forms == NO_FORMS else "same-origin"
    return answer


def _private(answer: Answer) -> Answer:
    answer.headers["cache-control"] = "private, no-store"
    return answer
