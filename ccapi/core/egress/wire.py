"""One exchange with a customer's server: one connection, one request, one bounded answer.

httpx2's engine without its client: nothing is read from the environment, no redirect is followed,
no connection is kept or shared, nothing is decompressed, and the URL is not parsed a second time.
The time bounds all of it: looking up, connecting, and every byte of an answer that drips.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpcore2
import msgspec

from ccapi.core.egress.errors import EgressFailed
from ccapi.core.egress.guard import Guard
from ccapi.core.egress.urls import Location, parse

Headers = list[tuple[bytes, bytes]]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    headers: Mapping[str, str] = {}
    content: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and how much of its body was wanted."""

    status: int
    headers: dict[str, str]  # names in lower case; of several, the first
    data: bytes
    is_whole: bool


class _Checked(httpcore2.AsyncNetworkBackend):
    """Hands httpcore2 the connection that the guard has made, and no other."""

    def __init__(self, guard: Guard, location: Location) -> None:
        self._guard = guard
        self._location = location

    async def connect_tcp(self, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        return await self._guard.connect(self._location)


async def exchange(
    guard: Guard,
    context: ssl.SSLContext,
    url: str,
    request: Request,
    *,
    seconds: float,
    bytes_max: int,
    drip_s: float | None = None,
) -> Answer:
    """Ask, and read at most `bytes_max` of the body, for at most `drip_s` after its head.

    Raises: EgressRefused, EgressFailed.
    """
    location = parse(url, named=guard.named)
    try:
        async with (
            asyncio.timeout(seconds),
            _answered(guard, context, location, request) as response,
        ):
            return await _read(response, bytes_max=bytes_max, drip_s=drip_s)
    except TimeoutError as error:
        raise EgressFailed(f"its host did not finish within {seconds:g} seconds") from error
    except httpcore2.ConnectError as error:  # the guard's own are EgressFailed: this is TLS
        raise EgressFailed(f"its host's TLS is not to be trusted: {_said(error)}") from error
    except httpcore2.LocalProtocolError as error:
        raise EgressFailed("the request cannot be sent") from error
    except httpcore2.ProtocolError as error:
        raise EgressFailed("its host does not answer in proper HTTP") from error
    except (httpcore2.NetworkError, httpcore2.TimeoutException, OSError) as error:
        raise EgressFailed("its host hung up") from error


@asynccontextmanager
async def _answered(
    guard: Guard, context: ssl.SSLContext, location: Location, request: Request
) -> AsyncIterator[httpcore2.Response]:
    scheme = b"https" if location.secure else b"http"
    host = location.host.encode()
    origin = httpcore2.Origin(scheme, host, location.port)
    target = httpcore2.URL(
        scheme=scheme, host=host, port=location.port, target=location.target.encode()
    )
    sent = httpcore2.Request(
        request.method, target, headers=_headers(location, request), content=request.content
    )
    connection = httpcore2.AsyncHTTPConnection(
        origin=origin, ssl_context=context, network_backend=_Checked(guard, location)
    )
    try:
        response = await connection.handle_async_request(sent)
        try:
            yield response
        finally:
            await response.aclose()
    finally:
        await connection.aclose()


def _headers(location: Location, request: Request) -> Headers:
    told = {
        "host": location.authority,
        "accept-encoding": "identity",
        "connection": "close",
        **request.headers,
    }
    if request.method != "GET":
        told["content-length"] = str(len(request.content))
    return [(name.encode(), value.encode()) for name, value in told.items()]


async def _read(response: httpcore2.Response, *, bytes_max: int, drip_s: float | None) -> Answer:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    data = bytearray()
    is_whole = False
    try:
        async with asyncio.timeout(drip_s):
            async for chunk in response.aiter_stream():
                data += chunk
                if len(data) > bytes_max:
                    break
            else:
                is_whole = True
    except (TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
        if drip_s is None:
            raise
    return Answer(
        status=response.status, headers=headers, data=bytes(data[:bytes_max]), is_whole=is_whole
    )


def _said(error: Exception) -> str:
    """What OpenSSL found, without its file names: "certificate has expired"."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.rstrip(".")
    return "the handshake failed"
