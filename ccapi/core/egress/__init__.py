"""Egress: every call to a URL that a customer gave us, and nothing else.

Pictures are fetched and webhooks delivered through here. Such a URL may lead to the public
internet over https, to ports 443 and 8443, and nowhere else; the hosts that `CCAPI_EGRESS_ALLOW`
names (on premises, in tests) are the exception, over http as well. Calls to providers, whose
addresses the operator configures, are `gateway.transport`'s.
"""

import asyncio
import ssl
from functools import lru_cache
from pathlib import Path

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ccapi.core.egress import addresses, urls, wire
from ccapi.core.egress.errors import EgressError, EgressFailed, EgressRefused
from ccapi.core.egress.guard import Guard

__all__ = [
    "Answered",
    "EgressError",
    "EgressFailed",
    "EgressRefused",
    "Fetched",
    "Guard",
    "check",
    "fetch",
    "post",
]

ANSWER_BYTES_MAX = 2048  # of a POST's answer; the rest is not read
ANSWER_S = 2.0  # how long its body may take, once its status is known


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    content_type: str  # as the server says, in lower case, without parameters; "" if it does not


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """How a POST was answered; any status."""

    status: int
    retry_after: str  # the header, as it came; "" without
    data: bytes  # the first ones


async def check(url: str, *, guard: Guard | None = None) -> None:
    """Whether a URL may be called, now. Raises: EgressRefused, EgressFailed (no such name)."""
    await (guard or of_settings()).check(url)


async def fetch(url: str, *, bytes_max: int, seconds: float, guard: Guard | None = None) -> Fetched:
    """GET, answered with 200 and at most `bytes_max`, within `seconds` in all.

    Raises: EgressRefused, EgressFailed.
    """
    answer = await wire.exchange(
        guard or of_settings(),
        await _context(),
        url,
        wire.Request(method="GET", headers={"accept": "*/*", "user-agent": _agent()}),
        seconds=seconds,
        bytes_max=bytes_max,
    )
    if 300 <= answer.status < 400:
        raise EgressFailed(
            "its host redirects, which is not followed: give the final URL", status=answer.status
        )
    if answer.status != 200:
        raise EgressFailed(f"its host answers {answer.status}", status=answer.status)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise EgressFailed("its host answers compressed, which was not asked for", status=200)
    if not answer.is_whole:
        raise EgressFailed(f"its host sends more than {bytes_max} bytes", status=200)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched(data=answer.data, content_type=kind)


async def post(
    url: str,
    *,
    content: bytes,
    headers: dict[str, str],
    seconds: float,
    guard: Guard | None = None,
) -> Answered:
    """POST, and how it was answered within `seconds`; redirects are answers as others.

    Raises: EgressRefused (nothing was sent), EgressFailed (it may have arrived).
    """
    answer = await wire.exchange(
        guard or of_settings(),
        await _context(),
        url,
        wire.Request(method="POST", headers={"user-agent": _agent(), **headers}, content=content),
        seconds=seconds,
        bytes_max=ANSWER_BYTES_MAX,
        drip_s=ANSWER_S,
    )
    retry_after = answer.headers.get("retry-after", "")
    return Answered(status=answer.status, retry_after=retry_after, data=answer.data)


def of_settings() -> Guard:
    """The guard that the operator has configured. Raises: ImproperlyConfigured."""
    return _guard(tuple(settings.CCAPI_EGRESS_ALLOW), tuple(settings.CCAPI_EGRESS_DENY))


@lru_cache(maxsize=8)
def _guard(allow: tuple[str, ...], deny: tuple[str, ...]) -> Guard:
    try:
        return Guard(
            named=frozenset(map(urls.host_and_port, allow)),
            denied=tuple(map(addresses.network, deny)),
        )
    except ValueError as error:
        raise ImproperlyConfigured(f"CCAPI_EGRESS_ALLOW or CCAPI_EGRESS_DENY: {error}.") from error


def _agent() -> str:
    return f"CCAPI/{settings.CCAPI_VERSION}"


async def _context() -> ssl.SSLContext:
    """Reading the system's store takes tens of milliseconds the first time."""
    bundle: Path | None = settings.CCAPI_CA_BUNDLE
    context = _contexts.get(bundle)
    if context is None:
        context = await asyncio.to_thread(_made_context, bundle)
        _contexts[bundle] = context
    return context


def _made_context(bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(cafile=bundle)
    return context


_contexts: dict[Path | None, ssl.SSLContext] = {}
