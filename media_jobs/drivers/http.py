"""Calls to providers' image APIs: one call, its whole answer, and how it ended.

No redirects, no proxies from the environment, no cookies; every call has a deadline and every
answer a cap. A connection carries one call: a kept one that the provider is closing at that moment
would leave us not knowing whether an order of pictures got through, and such calls take seconds
anyway. Vendors' paths and errors are known to the drivers alone.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2
import msgspec
from django.conf import settings

from ccapi.core import egress
from ccapi.core.loops import PerLoop
from gateway.protocols.base import FailureKind, UpstreamFailure
from gateway.transport import auth, dial
from media_jobs.drivers.base import DriverFailed, Target

MEBIBYTE = 1024 * 1024
ANSWER_BYTES_MAX = 128 * MEBIBYTE  # ten pictures of 4K in base64, and some
ERROR_BYTES_MAX = 256 * 1024
RESULT_BYTES_MAX = 64 * MEBIBYTE  # of one picture
RESULT_S = 30.0  # of one try
RESULT_TRIES = 3
RESULT_PAUSE_S = 0.3  # before the second try, and twice that before the third

Files = Sequence[tuple[str, tuple[str, bytes, str]]]  # field, (file name, bytes, media type)


class Answer(NamedTuple):
    """Any answer. `headers` has lower-case names; our key is scrubbed from an error's body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class _Seen:
    """How far one call has come, told by the connection as it goes."""

    def __init__(self) -> None:
        self.connected = False
        self.sent = False
        self.status = 0

    async def tell(self, event: str, _info: object) -> None:
        if event.endswith("send_request_headers.started"):
            self.connected = self.sent = True


_clients: PerLoop[dict[int, httpx2.AsyncClient]] = PerLoop(dict)


async def call(
    target: Target,
    method: str,
    path: str,
    *,
    default_auth: str,
    json: object = None,
    fields: Mapping[str, str] | None = None,
    files: Files = (),
    headers: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> Answer:
    """One call below the provider's base URL, within `seconds` (else the provider's total).

    With `files` it is a form, else JSON where there is some. Raises: DriverFailed where no whole
    answer came; `is_unknown` where the request had gone out and was not answered with an error.
    """
    provider = target.provider
    sent, query = auth.credentials(provider, default_auth, target.key)
    sent = {**sent, "accept": "application/json", **(headers or {})}
    content: bytes | None = None
    if json is not None:
        content = msgspec.json.encode(json)
        sent["content-type"] = "application/json"
    mark = "&" if "?" in path else "?"
    seen = _Seen()
    try:
        request = _client(target).build_request(
            method,
            provider.base_url + path + (mark + query if query else ""),
            content=content,
            data=dict(fields) if fields is not None else None,
            files=list(files) or None,
            headers=sent,
            extensions={"trace": seen.tell},
        )
    except (httpx2.InvalidURL, ValueError) as error:
        raise failed(
            "server", "The provider's address cannot be called.", connected=False
        ) from error
    answer = await _answered(target, request, seen, seconds or provider.timeouts.total)
    return _scrubbed(answer, target.key)


async def results(target: Target, urls: Sequence[str]) -> list[bytes | None]:
    """The pictures behind these links, in order; None for those that could not be had.

    Raises: DriverFailed where none could.

    Links on the provider's own origin, which the operator has named, are fetched from there,
    without our key; all others, which anybody may have thought up, through the egress guard.
    """
    ends = await asyncio.gather(*(_result(target, url) for url in urls), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, DriverFailed):
            raise end
    found = [end if isinstance(end, bytes) else None for end in ends]
    problem = next((end for end in ends if isinstance(end, DriverFailed)), None)
    if problem is not None and not any(found):
        raise problem
    return found


async def close() -> None:
    """Close the running loop's clients."""
    for client in (_clients.pop() or {}).values():
        await client.aclose()


def failed(
    kind: FailureKind,
    message: str,
    *,
    status: int = 0,
    code: str = "",
    is_unknown: bool = False,
    connected: bool = True,
) -> DriverFailed:
    return DriverFailed(
        UpstreamFailure(kind=kind, status=status, message=message, code=code),
        is_unknown=is_unknown,
        connected=connected,
        answered=connected,
    )


def garbled(answer: Answer) -> DriverFailed:
    """A success that is not what the vendor's API says it is."""
    return failed(
        "server", "The provider's answer could not be understood.", code=f"garbled_{answer.status}"
    )


def _client(target: Target) -> httpx2.AsyncClient:
    clients = _clients.get()
    client = clients.get(target.provider.id)
    if client is None:
        client = clients[target.provider.id] = httpx2.AsyncClient(
            verify=_context(settings.CCAPI_CA_BUNDLE),
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"user-agent": "ccapi/1", "accept-encoding": "identity"},
        )
    return client


@lru_cache(maxsize=4)
def _context(bundle: Path | None) -> ssl.SSLContext:
    return dial.make_context(bundle)


async def _answered(target: Target, request: httpx2.Request, seen: _Seen, seconds: float) -> Answer:
    timeouts = target.provider.timeouts
    request.extensions["timeout"] = httpx2.Timeout(
        seconds, connect=min(timeouts.connect, seconds)
    ).as_dict()
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(target, request, seen)
    except (TimeoutError, httpx2.TimeoutException) as error:
        message = "in time" if seen.sent else "a connection in time"
        raise _broken(seen, "timeout", f"The provider did not answer {message}.") from error
    except httpx2.RequestError as error:
        message = (
            "The connection to the provider broke."
            if seen.sent
            else ("The provider could not be reached.")
        )
        raise _broken(seen, "server", message) from error


async def _exchange(target: Target, request: httpx2.Request, seen: _Seen) -> Answer:
    response = await _client(target).send(request, stream=True)
    try:
        seen.status = response.status_code
        limit = ANSWER_BYTES_MAX if response.is_success else ERROR_BYTES_MAX
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > limit and response.is_success:
                raise failed("server", "The provider's answer is too large.", code="too_large")
            parts.append(part)
            if size > limit:
                break
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"".join(parts)[:limit])
    finally:
        await response.aclose()


def _broken(seen: _Seen, kind: FailureKind, message: str) -> DriverFailed:
    """No whole answer. One that began as an error's is known: the work was not taken."""
    return DriverFailed(
        UpstreamFailure(kind=kind, status=0, message=message),
        is_unknown=seen.sent and seen.status < 400,
        connected=seen.connected,
        answered=seen.status != 0,
    )


def _scrubbed(answer: Answer, key: str) -> Answer:
    """An error may quote our key; pictures need no looking at."""
    if not key or answer.is_success:
        return answer
    return answer._replace(body=answer.body.replace(key.encode(), b"[redacted]"))


async def _result(target: Target, url: str) -> bytes:
    for turn in range(RESULT_TRIES):
        try:
            if _origin(url) == _origin(target.provider.base_url):
                return await _own(target, url)
            answer = await egress.fetch(url, bytes_max=RESULT_BYTES_MAX, seconds=RESULT_S)
        except egress.EgressRefused as error:
            raise failed("server", "The provider's picture is where we do not go.") from error
        except (egress.EgressFailed, DriverFailed) as error:
            problem = failed(
                "server", "The provider's picture could not be fetched.", is_unknown=True
            )
            problem.__cause__ = error
        else:
            return answer.data
        if turn + 1 < RESULT_TRIES:
            await asyncio.sleep(RESULT_PAUSE_S * (turn + 1))
    raise problem


async def _own(target: Target, url: str) -> bytes:
    seen = _Seen()
    try:
        request = _client(target).build_request("GET", url, extensions={"trace": seen.tell})
    except (httpx2.InvalidURL, ValueError) as error:
        raise failed("server", "The provider's picture has no valid address.") from error
    answer = await _answered(target, request, seen, RESULT_S)
    if answer.status != 200:
        raise failed("server", "The provider does not hand its picture out.", status=answer.status)
    return answer.body


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", url, None)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port or usual
