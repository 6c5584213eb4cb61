"""API keys for REST views: the same credential, look-up and refusals as on the chat path.

Views run in a thread, on Django's connection, and ask PostgreSQL each time: no memory to share
with an event loop, and a change in the same transaction is seen. A view gets its caller from
`caller_of(request)`.
"""

from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connection
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import callers
from accounts.credentials import bearer_of, first
from accounts.types import Caller
from ccapi.core.errors import BillingUnavailable, Unauthorized

if TYPE_CHECKING:  # the views' module loads this one, by REST framework's settings
    from rest_framework.views import APIView


class KeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        """The caller, or None where no credential was sent; then `HasKey` decides.

        Raises: what `accounts.callers.judge` raises, and BillingUnavailable.
        """
        secret = _credential(request)
        return (None, authenticate(secret)) if secret else None

    def authenticate_header(self, _request: Request) -> str:
        return "Bearer"


class HasKey(BasePermission):
    def has_permission(self, request: Request, _view: "APIView") -> bool:
        caller_of(request)
        return True


def caller_of(request: Request) -> Caller:
    """The caller of a request that `HasKey` let in."""
    if not isinstance(request.auth, Caller):
        raise Unauthorized(callers.MISSING)
    return request.auth


def authenticate(secret: str) -> Caller:
    """The synchronous twin of `accounts.api.authenticate`."""
    mac = callers.mac_of(secret)
    try:
        with connection.cursor() as cursor:
            cursor.execute(callers.FIND, (mac,))
            row = cursor.fetchone()
            found = callers.Found.of(row) if row else None
            caller = callers.judge(found, mac)
            if found is not None and found.untouched:
                cursor.execute(callers.TOUCH, ([caller.key_id],))
    except (OperationalError, InterfaceError) as error:
        raise BillingUnavailable("The database is away. Try again in a moment.") from error
    return caller


def _credential(request: Request) -> str:
    bearer = bearer_of(request.headers.get("authorization", ""))
    if bearer:
        return bearer
    return first(
        request.headers.get("x-api-key", ""),
        request.META.get("QUERY_STRING", "").encode("latin-1", "replace"),
        request.headers.get("x-goog-api-key", ""),
    )
