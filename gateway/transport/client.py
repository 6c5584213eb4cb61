"""The upstream client: one aiohttp session an event loop, with nothing ambient.

No redirects, no cookies, no proxies from the environment, identity encoding, no limit of
connections (the walk's own limits decide). Deadlines are the caller's (`gateway.attempt`); only
connecting has its limit here. A POST that meets a reset before any byte of the answer is sent once
more: it is nearly always a kept-alive connection that the other side had just closed.
"""

import ssl
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from ccapi.core.loops import PerLoop
from gateway.protocols.base import FailureKind, UpstreamFailure

ANSWER_BYTES_MAX = 64 * 1024 * 1024
ERROR_BYTES_MAX = 256 * 1024


class AttemptFailed(Exception):
    """One attempt failed before it gave any content: what happened, in our terms."""

    def __init__(
        self,
        failure: UpstreamFailure,
        *,
        error_code: str = "",
        body: bytes = b"",
        content_type: str = "",
        is_direct: bool = False,
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.error_code = error_code
        self.body = body  # the provider's own error body, where there was one
        self.content_type = content_type
        self.is_direct = is_direct  # whether the client speaks the provider's protocol


class Upstream:
    """An answer that has begun: status, headers, and a body to be read by pieces."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.content_type = response.headers.get("content-type", "")

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    @property
    def request_id(self) -> str:
        headers = self._response.headers
        return headers.get("x-request-id") or headers.get("request-id") or ""

    async def read(self) -> bytes:
        """Whatever has come, at least one byte; b"" at a proper end.

        Raises: AttemptFailed where the connection broke.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise broken(error) from error

    async def read_all(
        self, limit: int = ANSWER_BYTES_MAX, *, progress: Callable[[], None] | None = None
    ) -> bytes:
        """The whole body; `progress` is called before each read.

        Raises: AttemptFailed where it is cut short or longer than `limit` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while True:
            if progress is not None:
                progress()
            piece = await self.read()
            if not piece:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            size += len(piece)
            if size > limit:
                raise failed("server", f"The answer is longer than {limit} bytes.")
            pieces.append(piece)

    def close(self) -> None:
        """Hang up, unless the body was read to its end: then its connection is back in the pool."""
        self._response.close()


def failed(kind: FailureKind, message: str, *, status: int = 0, code: str = "") -> AttemptFailed:
    return AttemptFailed(
        UpstreamFailure(kind=kind, status=status, message=message), error_code=code
    )


def broken(error: Exception) -> AttemptFailed:
    """A network error as a failed attempt. The text names the kind of fault, never an address."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        text = "its name could not be resolved"
    elif isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        text = "its TLS handshake failed"
    elif isinstance(error, aiohttp.ConnectionTimeoutError):
        return failed("timeout", "The provider did not accept a connection in time.")
    elif isinstance(error, aiohttp.ClientConnectorError):
        text = "it refused the connection"
    else:
        text = "the connection broke"
    return failed(
        "server", f"The provider could not be reached: {text}.", code="upstream_unreachable"
    )


async def post(url: str, body: bytes, headers: dict[str, str], *, connect_s: float) -> Upstream:
    """POST, and the answer as soon as its head is there; `Upstream.close` it in the end.

    Raises: AttemptFailed where no answer came.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
    target = URL(url, encoded=True)
    for last in (False, True):
        try:
            response = await session().post(
                target, data=body, headers=headers, timeout=timeout, allow_redirects=False
            )
            return Upstream(response)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError) as error:
            if last:
                raise broken(error) from error
        except aiohttp.ClientOSError as error:
            if last or isinstance(error, aiohttp.ClientConnectorError):
                raise broken(error) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise broken(error) from error
    raise AssertionError("unreachable")


def session() -> aiohttp.ClientSession:
    """The session of the running event loop, made on first use."""
    return _sessions.get()


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, keepalive_timeout=15),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"user-agent": "ccapi/1", "accept-encoding": "identity"},
    )


_sessions = PerLoop(_open_session)


async def close() -> None:
    """Close the running loop's session, at shutdown."""
    existing = _sessions.pop()
    if existing is not None:
        await existing.close()
