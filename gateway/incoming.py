"""A client's request as it comes from the server: its bounded body, and how it is refused."""

from uuid import UUID

import msgspec
from django.conf import settings

from ccapi.core import ids
from ccapi.core.errors import GatewayError, MethodNotAllowed, RequestTooLarge
from gateway.outlet import Receive
from gateway.protocols.base import Codec
from gateway.routes import Route


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `headers` have lower-case names, as ASGI gives them."""

    route: Route
    headers: list[tuple[bytes, bytes]]
    query: bytes
    body: bytes
    started: float  # monotonic seconds

    def forwarded(self) -> dict[str, str]:
        """The client's headers that its protocol lets pass on the direct path."""
        wanted = self.route.codec.forward_headers
        return {
            name.decode(): value.decode("latin-1")
            for name, value in self.headers
            if name.decode("latin-1") in wanted
        }


async def read_body(scope_headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """The whole body, within `CCAPI_BODY_BYTES_MAX`. Raises: RequestTooLarge, ClientGone."""
    limit = settings.CCAPI_BODY_BYTES_MAX
    for name, value in scope_headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        if piece:
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request body is longer than {limit} bytes.")


def check_method(method: str, path: str) -> None:
    """Raises: MethodNotAllowed for anything but POST."""
    if method != "POST":
        raise MethodNotAllowed(f"{path} takes POST, not {method}.", headers={"allow": "POST"})


def refusal(
    codec: Codec, request_id: UUID, error: GatewayError
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error in the client's protocol."""
    text = ids.request_id(request_id)
    headers = {
        "content-type": "application/json",
        "x-request-id": text,
        **error.http_headers(),
    }
    return codec.error_status(error), headers, codec.encode_error(error, text)
