"""A client's request as it comes from the server: its bounded body, and how it is refused."""

from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from django.conf import settings

from ccapi.core import clock, ids
from ccapi.core.errors import GatewayError, MethodNotAllowed, RequestTooLarge
from ccapi.core.lane import Receive
from gateway.ir.request import Raw
from gateway.protocols.base import Codec
from gateway.routes import Route

# Bodies beyond this many bytes are read for customers only.
LONG_BYTES = 256 * 1024


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `headers` have lower-case names, as ASGI gives them."""

    route: Route
    headers: list[tuple[bytes, bytes]]
    query: bytes
    body: bytes
    started: float  # monotonic seconds
    received: float = msgspec.field(default_factory=clock.monotonic)  # the body is there

    def spoken(self) -> dict[str, Raw]:
        """What the path and the query say, as the codec reads it: fields of the body."""
        if not self.route.asked:
            return self.route.spoken
        query = dict(parse_qsl(self.query.decode("latin-1")))
        told = {name: query.get(name, default) for name, default in self.route.asked.items()}
        return self.route.spoken | {
            name: Raw(msgspec.json.encode(value)) for name, value in told.items()
        }

    def forwarded(self) -> dict[str, str]:
        """The client's headers that its protocol lets pass on the direct path."""
        wanted = self.route.codec.forward_headers
        return {
            name.decode(): value.decode("latin-1")
            for name, value in self.headers
            if name.decode("latin-1") in wanted
        }


def is_long(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a body is longer than LONG_BYTES, or may be: one in chunks does not tell."""
    for name, value in headers:
        if name == b"content-length":
            return value.isdigit() and int(value) > LONG_BYTES
        if name == b"transfer-encoding":
            return True
    return False


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
